"""Where tables and keys stand, whatever strings and brackets lie between."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from guichets.catalogue._lines import read_lines

TEXT = '''\
top = 1
[[ "desk" ]]   # a comment with "quotes" and [[desk]]
a = [
  "x", # [[desk]]
  { b = "]" },
]
"b c" = """
[[desk]]
a = 1"""""
d.e.f = \'\'\'
[[desk]]\'\'\'

[desk.params]
dwr = 2
[[desk]]
a = \'"\'
[[channel]]
b = "\\\\"
c = 3
'''


def test_every_table_and_key_is_found_at_its_line() -> None:
    assert len(tomllib.loads(TEXT)["desk"]) == 2
    lines = read_lines(TEXT)
    assert lines.top.keys == {"top": 1}
    first, second = lines.tables["desk"]
    assert (first.line, second.line) == (2, 15)
    assert first.keys == {"a": 3, "b c": 7, "d": 10, "d.e": 10, "params": 13, "params.dwr": 14}
    assert second.keys == {"a": 16}
    (channel,) = lines.tables["channel"]
    assert channel.keys == {"b": 18, "c": 19}


def test_what_has_no_line_of_its_own_is_at_its_table() -> None:
    lines = read_lines("[[desk]]\nparams = {dwr = 2}\n\ndesk2 = [{}, {}]")
    assert lines.table("desk", 0).of("params.dwr") == 2
    assert lines.table("desk", 0).of("label") == 1
    assert lines.table("desk", 7).line == 1


_values = st.sampled_from(
    [
        '"a"',
        "'a'",
        '"""\n[[desk]]\n"""',
        "'''\nk = 1\n'''",
        "[\n1,\n# ]\n2]",
        "{ x = '}' }",
        r'"\"["',
        "2021-04-01",
    ]
)


@given(st.lists(st.lists(_values, max_size=5), max_size=5))
def test_lines_agree_with_the_text_that_was_built(tables: list[list[str]]) -> None:
    text, wanted = "", []
    for values in tables:
        text += "[[desk]]\n"
        keys = {}
        for number, value in enumerate(values):
            keys[f"k{number}"] = text.count("\n") + 1
            text += f"k{number} = {value} # ' \" [ \n"
        wanted.append(keys)
    tomllib.loads(text)
    assert [table.keys for table in read_lines(text).tables.get("desk", [])] == wanted


@given(st.text(alphabet="[]{}\"'=.#\n\\ ab1"))
def test_no_text_makes_the_scan_fail(text: str) -> None:
    read_lines(text)
