"""Whatever the bytes, a reader of any family answers, and proves nothing without its family's anchor."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scrapy.settings import Settings
from scrapy.spiderloader import SpiderLoader

from guichets.outcomes import Outcome
from guichets.page import Page, Reading
from spiders.base import DeskSpider
from tests.spiders.page_table import expected_pages, families_with_pages

LOADER = SpiderLoader.from_settings(Settings({"SPIDER_MODULES": ["spiders"]}))
SPIDERS: dict[str, type[DeskSpider]] = {name: LOADER.load(name) for name in families_with_pages()}  # type: ignore[misc]
READERS = [(name, reader) for name, spider in SPIDERS.items() for reader in spider.readers]
EVERY_READER = pytest.mark.parametrize(("family", "name"), READERS)
PROFILE = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

TELLING = {Outcome.OFFERED, Outcome.NONE, Outcome.OPEN, Outcome.CLOSED, Outcome.MOVED}
KINDS = (
    "text/html; charset=utf-8",
    "text/html",
    "application/json",
    "text/javascript",
    "text/plain",
    "image/png",
    "",
)

statuses = st.sampled_from(
    [200, 200, 200, 201, 204, 301, 302, 400, 401, 403, 404, 410, 418, 429, 500, 502, 503]
)
headers = st.sampled_from(KINDS).map(lambda kind: {"content-type": kind} if kind else {})
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
nests = st.tuples(st.sampled_from(['{"a":', "["]), st.integers(1, 20_000)).map(lambda nest: nest[0] * nest[1])
bodies = st.one_of(
    st.binary(max_size=400),
    st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")),
    st.text(max_size=300).map(lambda text: f"<html><body>{text}</body></html>".encode("utf-8", "replace")),
    values.map(lambda value: json.dumps(value).encode()),
    nests.map(str.encode),
    st.sampled_from(
        [b"", b"\x00", b"null", b"[]", b"{}", b'"x"', b"1e999", b"9" * 5000, b"\xef\xbb\xbf{}", b"\xc3"]
    ),
)


def reader_of(family: str, name: str) -> Callable[[Page], Reading]:
    return SPIDERS[family].readers[name]


def addresses(family: str) -> list[str]:
    return [
        *sorted({expected.row["url"] for expected in expected_pages(family)}),
        "",
        "//[",
        "https://x.example/",
    ]


@EVERY_READER
@PROFILE
@given(data=st.data(), status=statuses, head=headers, body=bodies)
def test_any_answer_is_read_without_raising_and_proves_nothing(
    family: str, name: str, data: st.DataObject, status: int, head: dict[str, str], body: bytes
) -> None:
    page = Page(data.draw(st.sampled_from(addresses(family))), status, head, body)
    reading = reader_of(family, name)(page)
    assert reading.rule
    assert reading.outcome not in TELLING, (page, reading)
    assert reading == reader_of(family, name)(page)


@EVERY_READER
@PROFILE
@given(data=st.data(), status=statuses, head=headers)
def test_spoiled_pages_prove_nothing_without_their_anchor(
    family: str, name: str, data: st.DataObject, status: int, head: dict[str, str]
) -> None:
    """Pages of the family with bytes exchanged, left out or doubled, under any address, status and header."""
    pages = [expected.page for expected in expected_pages(family)]
    body = bytearray(data.draw(st.sampled_from(pages)).body)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(body)))
        body[place : place + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=8))
    page = Page(data.draw(st.sampled_from(addresses(family))), status, head, bytes(body))
    reading = reader_of(family, name)(page)
    if reading.outcome in {Outcome.OFFERED, Outcome.NONE, Outcome.OPEN}:
        assert SPIDERS[family].has_anchor(page) or family == "ezbooking", (
            reading
        )  # which has tests of its own
        assert 200 <= status <= 299
