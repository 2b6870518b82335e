"""Conversations as bodies: what goes in comes out, and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guichets.messages import join_messages, split_messages

texts = st.lists(st.text().filter(lambda text: "\x1e" not in text).map(str.encode), max_size=5)


@given(texts)
def test_messages_come_out_as_they_went_in(messages: list[bytes]) -> None:
    assert split_messages(join_messages(messages)) == messages


@given(texts, st.data())
def test_body_that_was_cut_gives_a_beginning_or_nothing(messages: list[bytes], data: st.DataObject) -> None:
    body = join_messages(messages)
    kept = split_messages(body[: data.draw(st.integers(0, len(body)))])
    if kept:
        whole, last = kept[:-1], kept[-1]
        assert whole == messages[: len(whole)]
        assert messages[len(whole)].startswith(last)


@pytest.mark.parametrize("body", [b"<html></html>", b"[]", b"\n", b"\x1e", b"\x1e[]", b"x\x1e[]\n"])
def test_body_of_a_page_is_no_conversation(body: bytes) -> None:
    assert split_messages(body) is None


@given(st.binary(max_size=60))
def test_any_bytes_are_taken_apart_without_an_error(body: bytes) -> None:
    found = split_messages(body)
    assert found is None or join_messages(found) == body or not body
