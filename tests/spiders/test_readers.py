"""Each hand-made page of ``tests/pages/<family>`` is read as its table says, for every family."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guichets.outcomes import Outcome
from guichets.page import Page, Reading
from tests.spiders.page_table import PAGES, Expected, expected_pages, families_with_pages, reader_of

FAMILIES = families_with_pages()
EXPECTED = [expected for family in FAMILIES for expected in expected_pages(family)]
EVERY_PAGE = pytest.mark.parametrize("expected", EXPECTED, ids=lambda expected: expected.id)
DATED = {Outcome.NONE, Outcome.OFFERED}


def read(expected: Expected, page: Page) -> Reading:
    return reader_of(expected)(page)


@EVERY_PAGE
def test_page_is_read_as_the_table_says(expected: Expected) -> None:
    row = expected.row
    reading = read(expected, expected.page)
    assert (reading.rule, reading.outcome, reading.step) == (
        row["rule"],
        Outcome(row["outcome"]) if "outcome" in row else None,
        row.get("step"),
    )
    assert [slot.starts.isoformat() for slot in reading.slots] == row.get("slots", [])
    if reading.outcome not in {None, Outcome.UNRECOGNISED}:
        count = row.get("slot_count", len(row.get("slots", [])) or None)
        assert reading.slot_count == (None if count == "untold" else count)
    assert {counter.key: counter.label for counter in reading.counters} == row.get("counters", {})
    assert (reading.horizon_end.isoformat() if reading.horizon_end else None) == row.get("horizon_end")
    assert reading.may_advance == row.get("may_advance", False)
    if "action" in row:
        assert reading.action == row["action"]
    if "facts" in row:
        assert dict(reading.facts) == row["facts"]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_page_stands_in_the_table(family: str) -> None:
    files = {path.name for path in (PAGES / family).iterdir()} - {"expected.toml"}
    assert files == {expected.file for expected in expected_pages(family)}


@EVERY_PAGE
def test_same_page_without_its_headers_never_turns_into_a_slot_or_a_zero(expected: Expected) -> None:
    reading = read(expected, replace(expected.page, headers={}))
    if reading.outcome in DATED:
        is_kind = expected.row["rule"].endswith(("not-html", "not-its-kind"))
        assert reading.outcome == expected.row.get("outcome") or is_kind


@EVERY_PAGE
@pytest.mark.parametrize("status", [403, 429, 500, 502, 503])
def test_same_page_with_an_error_status_is_never_a_slot_or_a_zero(expected: Expected, status: int) -> None:
    assert read(expected, replace(expected.page, status=status)).outcome not in {*DATED, Outcome.OPEN, None}


@EVERY_PAGE
def test_page_cut_anywhere_is_never_a_slot_or_a_zero(expected: Expected) -> None:
    whole = expected.page.body.rstrip()
    if b"</html" in whole:
        whole = whole[: whole.index(b"</html")]
    for end in range(0, len(whole), max(7, len(whole) // 150)):
        reading = read(expected, replace(expected.page, body=whole[:end]))
        assert reading.outcome not in {*DATED, Outcome.OPEN, Outcome.CLOSED}, end
