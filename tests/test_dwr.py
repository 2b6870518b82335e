"""DWR's calls are written as its clients write them; its replies are read, never run."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from guichets.dwr import DIALECTS, MAX_CHARACTERS, MAX_DEPTH, CutReply, Method, NotDwr, read_reply
from guichets.sandbox.families._eappointment_pages import callback

PAGE = "/eAppointment57/element/jsp/appointment.jsp"
DAYS = Method("AjaxSelectionFormFeeder", "getClosedDaysList", ("string", "string"), before=1)
SUBMIT = Method("AjaxMotive", "motiveMultiSiteSubmit", ("map",), before=1)
FILTERED = Method("AjaxSelectionFormFeeder", "getSiteBeanListFiltered", ("string",), after=2)
PROFILE = settings(max_examples=80, deadline=None)

texts = st.text(max_size=20)
keys = st.text("abcxyz", min_size=1, max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=10,
)


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return max((1 + depth(part) for part in inner), default=0)


def test_call_of_dialect_2_is_what_its_clients_send() -> None:
    assert DAYS.body(["1", "27"], dialect=2, page=PAGE, batch=0).decode() == (
        "callCount=1\npage=/eAppointment57/element/jsp/appointment.jsp\nhttpSessionId=\nscriptSessionId=\n"
        "c0-scriptName=AjaxSelectionFormFeeder\nc0-methodName=getClosedDaysList\nc0-id=0\n"
        "c0-param0=boolean:false\nc0-param1=string:1\nc0-param2=string:27\nbatchId=0\n"
    )


def test_call_of_dialect_3_is_what_its_clients_send() -> None:
    assert DAYS.body(["site7", "20012"], dialect=3, page=PAGE, batch=5).decode() == (
        "callCount=1\nnextReverseAjaxIndex=0\nc0-scriptName=AjaxSelectionFormFeeder\n"
        "c0-methodName=getClosedDaysList\nc0-id=0\nc0-param0=string:site7\nc0-param1=string:20012\n"
        "batchId=5\ninstanceId=0\npage=%2FeAppointment57%2Felement%2Fjsp%2Fappointment.jsp\nscriptSessionId=\n"
    )


def test_map_is_sent_by_reference() -> None:
    text = SUBMIT.body(["120"], dialect=2, page=PAGE, batch=2).decode()
    lines = "c0-param0=boolean:false\nc0-e1=number:1\nc0-param1=Object_Object:{120:reference:c0-e1}\n"
    assert lines in text


def test_placeholders_stand_where_the_server_puts_arguments_in() -> None:
    text = FILTERED.body(["x"], dialect=2, page=PAGE, batch=2).decode()
    assert "c0-param0=string:x\nc0-param1=boolean:false\nc0-param2=boolean:false\n" in text
    assert "boolean" not in FILTERED.body(["x"], dialect=3, page=PAGE, batch=2).decode()


@pytest.mark.parametrize("method", [DAYS, SUBMIT, FILTERED], ids=lambda method: method.name)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_pattern_is_that_of_the_bodies(method: Method, dialect: int) -> None:
    body = method.body(["A.b-3_"] * len(method.kinds), dialect=dialect, page=PAGE, batch=17).decode()
    pattern = method.pattern(r"/eAppointment\w{0,9}/element/jsp/appointment\.jsp")
    assert re.fullmatch(pattern, body)
    assert not re.fullmatch(pattern, body + "x")
    assert not re.fullmatch(pattern, body.replace("eAppointment57", "eAppointment.57"))


@PROFILE
@given(values, st.sampled_from(DIALECTS), st.sampled_from(["inline", "references"]))
@example({"msg": "créneau \U0001f4c5 \"'\\\n"}, 2, "references")
def test_what_a_server_writes_is_read_back(value: Any, dialect: int, built: str) -> None:
    assume(depth(value) < MAX_DEPTH)
    text = callback(value, dialect=dialect, batch="4", built=built).body.decode()
    reply = read_reply(text)
    assert (reply.dialect, reply.value, reply.failure) == (dialect, value, None)


@PROFILE
@given(values, st.sampled_from(DIALECTS), st.sampled_from(["inline", "references"]), st.floats(0, 1))
def test_reply_cut_anywhere_has_no_value(value: Any, dialect: int, built: str, share: float) -> None:
    text = callback(value, dialect=dialect, batch="4", built=built).body.decode().rstrip()
    with pytest.raises(NotDwr):
        read_reply(text[: int(share * (len(text) - 1))])


@PROFILE
@given(st.text(max_size=200), st.booleans())
def test_any_text_is_read_or_refused(text: str, is_marked: bool) -> None:
    try:
        read_reply(f"//#DWR-REPLY\n{text}" if is_marked else text)
    except NotDwr:
        pass
    else:
        assert "dwr.engine." in text


def test_date_is_an_instant() -> None:
    reply = read_reply("dwr.engine._remoteHandleCallback('0','0',[new Date(1600000000000)]);")
    assert reply.value == [datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC)]


def test_result_may_be_nothing() -> None:
    assert read_reply("dwr.engine._remoteHandleCallback('0','0');").value is None


def test_escapes_are_those_of_scripts() -> None:
    literal = r"'\u00E9\xe9\n\t\/\'\"\\\uD83D\uDCC5\uD83D'"
    value = read_reply(f"dwr.engine._remoteHandleCallback('0','0',{literal});").value
    assert value == "éé\n\t/'\"\\\U0001f4c5\ufffd"


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("dwr.engine._remoteHandleException('1','0',{javaClassName:'a.B',message:'m'});", "a.B: m"),
        ('dwr.engine.remote.handleException("1","0",{message:null});', "an exception without a word"),
        ("dwr.engine._remoteHandleException('1','0','Erreur');", "Erreur"),
        ('dwr.engine.remote.handleBatchException({name:"n",message:"m"},"1");', "n: m"),
    ],
)
def test_exception_is_told(text: str, failure: str) -> None:
    reply = read_reply(text)
    assert reply.failure == failure
    assert reply.dialect == (2 if "_remote" in text else 3)


CALL = "dwr.engine._remoteHandleCallback('0','0',%s);"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(CALL % "alert(1)", id="call-as-value"),
        pytest.param(CALL % "function(){}", id="function"),
        pytest.param(CALL % "window.location", id="name"),
        pytest.param(CALL % "s0", id="undeclared"),
        pytest.param(CALL % "1+1", id="sum"),
        pytest.param(CALL % "/x/", id="expression"),
        pytest.param(CALL % "`x`", id="template"),
        pytest.param(CALL % "1e999999", id="huge-exponent"),
        pytest.param(CALL % ("9" * 5000), id="huge-number"),
        pytest.param(CALL % ("[" * 50_000), id="deep-lists"),
        pytest.param(CALL % ("{a:" * 50_000), id="deep-objects"),
        pytest.param(CALL % "new Date('x')", id="date-of-text"),
        pytest.param(CALL % "new Date(9e99)", id="date-beyond-time"),
        pytest.param(CALL % "new XMLHttpRequest()", id="other-constructor"),
        pytest.param("eval('1');" + CALL % "1", id="call-before"),
        pytest.param("throw 'x';" + CALL % "1", id="other-throw"),
        pytest.param("document.cookie='x';" + CALL % "1", id="foreign-assignment"),
        pytest.param("var s0=[];s0[9999999]=1;" + CALL % "s0", id="sparse-list"),
        pytest.param("var s0={};s0.a.b=1;" + CALL % "s0", id="unknown-part"),
        pytest.param("var true=false;" + CALL % "true", id="word-redeclared"),
        pytest.param(CALL % "1" + CALL % "2", id="two-results"),
        pytest.param("dwr.engine._remoteHandleCallback('0');", id="one-part"),
        pytest.param("dwr.engine._eval('x');", id="other-method"),
        pytest.param("<html>dwr.engine.</html>", id="page"),
        pytest.param('{"a": 1}', id="json"),
        pytest.param("", id="nothing"),
        pytest.param(CALL % ("'" + "x" * MAX_CHARACTERS + "'"), id="too-long"),
    ],
)
def test_code_is_no_data(text: str) -> None:
    with pytest.raises(NotDwr):
        read_reply(text)


def test_depth_is_limited_exactly() -> None:
    deepest = "[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH
    assert read_reply(CALL % deepest).value
    with pytest.raises(NotDwr, match="nested"):
        read_reply(CALL % f"[{deepest}]")


@pytest.mark.parametrize(
    "text",
    [
        "throw 'allowScriptTagRemoting is false.';\n//#DWR-INSERT",
        "//#DWR-REPLY\nvar s0=",
        "dwr.engine._remoteHandleCallback('0','0',1)",
        "dwr.engine._remoteHandleCallback('0','0','it\\",
        "(function(){\ndwr.engine.remote.handleCallback('0','0',1);",
    ],
)
def test_beginning_of_a_reply_is_called_one(text: str) -> None:
    with pytest.raises(CutReply):
        read_reply(text)
