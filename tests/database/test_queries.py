from __future__ import annotations

import pytest

from guichets.database.queries import load_queries, parse_queries

TWO = """\
-- about the file

-- first --
-- 50 % of what it is for
SELECT 1  -- one
FROM somewhere;

-- second_query --
SELECT 2;
"""


def test_queries_are_found_by_name_without_their_comments() -> None:
    assert dict(parse_queries(TWO, "two.sql")) == {
        "first": "SELECT 1  -- one\nFROM somewhere;",
        "second_query": "SELECT 2;",
    }


def test_queries_are_read_from_a_package() -> None:
    assert "lock" in load_queries("guichets.database", "catalogue_sync.sql")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("SELECT 1;", r"^f\.sql:1: SQL before the first", id="no-heading"),
        pytest.param("-- a --\nSELECT 1;\n-- a --\n", r"^f\.sql:3: query 'a' is already defined", id="twice"),
        pytest.param("-- a --\n-- b --\nSELECT 1;", r"^f\.sql: query 'a' is empty", id="empty"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        parse_queries(text, "f.sql")
