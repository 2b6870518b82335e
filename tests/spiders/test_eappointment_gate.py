"""What may be asked of an eAppointment server, and nothing else."""

from __future__ import annotations

import pytest

from guichets import dwr
from guichets.gate import Ask
from guichets.sandbox.families.eappointment import NEVER, READING
from spiders import eappointment
from spiders.eappointment import GATE

HOST = "rdv.example.fr"
BASE = f"https://{HOST}/eAppointmentpref94"
PAGE = "/eAppointmentpref94/element/jsp/appointment.jsp"
METHODS = {method.file: method for method in vars(eappointment).values() if isinstance(method, dwr.Method)}


def ask(method: str, path: str, body: bytes = b"", kind: str = "", *, redirected: bool = False) -> str | None:
    return GATE.refusal(Ask(method, BASE + path, body, kind, redirected, HOST))


def call(file: str, body: bytes, kind: str = "text/plain") -> str | None:
    return ask("POST", f"/dwr/call/plaincall/{file}", body, kind)


def body_of(file: str, dialect: int) -> bytes:
    method = METHODS[file]
    given = ["site7", "20012", "2026-11-30"][: len(method.kinds)]
    return method.body(given, dialect=dialect, page=PAGE, batch=3)


def test_methods_are_those_that_read() -> None:
    assert {file.removesuffix(".dwr") for file in METHODS} == set(READING)
    assert not any(name in file for file in METHODS for name in NEVER)


@pytest.mark.parametrize(
    "path",
    [
        "/appointment.do",
        "/appointment.do?sitekey=P941&mobile=false",
        "/appointment.do?preselectservice=RDV",
        "/appointment.do?userZip=94200",
        "/element/jsp/appointment.jsp",
        "/element/jsp/appointment.jsp;jsessionid=0123ABCD.worker_gfa1",
    ],
)
def test_entry_and_its_page_may_be_asked(path: str) -> None:
    assert ask("GET", path) is None


def test_pages_of_a_prefecture_are_only_followed() -> None:
    path = "/element/jsp/specific/pref94.jsp"
    assert ask("GET", path) == "not-allowed"
    assert ask("GET", path, redirected=True) is None


@pytest.mark.parametrize("dialect", dwr.DIALECTS)
@pytest.mark.parametrize("file", sorted(METHODS))
def test_each_reading_call_leaves_in_both_dialects(file: str, dialect: int) -> None:
    assert call(file, body_of(file, dialect)) is None
    assert call(file, body_of(file, dialect), "text/plain; charset=utf-8") is None


@pytest.mark.parametrize("dialect", dwr.DIALECTS)
@pytest.mark.parametrize("file", sorted(METHODS))
def test_no_other_body_leaves_to_its_address(file: str, dialect: int) -> None:
    text = body_of(file, dialect).decode()
    assert call(file, b"") == "body"
    assert call(file, text.encode(), "application/x-www-form-urlencoded") == "body"
    for old, new in (
        (METHODS[file].name, "confirmAppointment"),
        ("callCount=1", "callCount=2"),
        ("c0-id=0", "c0-id=0\nc1-scriptName=AjaxAvailableTimeArea\nc1-methodName=savePreselectedRdv"),
        ("scriptSessionId=", "scriptSessionId=ABC"),
        ("batchId=3", "batchId=3\nuserEmail=a@example.fr"),
        ("batchId=3", "batchId=-3"),
        ("eAppointmentpref94", "other"),
    ):
        changed = text.replace(old, new)
        assert changed != text
        assert call(file, changed.encode()) == "body", new
    for other in sorted(set(METHODS) - {file}):
        assert call(file, body_of(other, dialect)) == "body"


@pytest.mark.parametrize(
    "value", ["site 7", "site7\nc0-param2=string:x", "é", "", "a" * 41, "{x}", "a,b", "%41", "a:b"]
)
def test_keys_that_need_escaping_are_never_sent(value: str) -> None:
    for dialect in dwr.DIALECTS:
        with pytest.raises(ValueError, match="cannot be sent"):
            eappointment.SERVICES.body([value], dialect=dialect, page=PAGE, batch=0)
        sent = eappointment.SERVICES.body(["VALUE"], dialect=dialect, page=PAGE, batch=0)
        changed = sent.replace(b"VALUE", value.encode())
        assert call(eappointment.SERVICES.file, changed) == "body"


@pytest.mark.parametrize("quantity", ["number:2", "string:1", "number:1\nc0-e2=number:1"])
def test_one_motive_is_submitted_once(quantity: str) -> None:
    body = body_of(eappointment.MOTIVE.file, 2).replace(b"number:1", quantity.encode())
    assert call(eappointment.MOTIVE.file, body) == "body"


@pytest.mark.parametrize("name", NEVER)
@pytest.mark.parametrize("script", ["AjaxSelectionFormFeeder", "AjaxMotive", "AjaxAvailableTimeArea"])
def test_what_takes_or_confirms_is_never_asked(name: str, script: str) -> None:
    body = dwr.Method(script, name, before=2).body([], dialect=2, page=PAGE, batch=0)
    assert call(f"{script}.{name}.dwr", body) == "not-allowed"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/appointment.do"),
        ("POST", "/element/jsp/appointment.jsp"),
        ("HEAD", "/appointment.do"),
        ("GET", "/captcha?1"),
        ("GET", "/captcha"),
        ("GET", "/dwr/call/plaincall/AjaxSelectionFormFeeder.getClosedDaysList.dwr"),
        ("GET", "/dwr/engine.js"),
        ("GET", "/dwr/index.html"),
        ("GET", "/appointment.do?userLastName=x"),
        ("GET", "/appointment.do?sitekey=P941&sitekey=P942"),
        ("GET", "/element/jsp/appointment.jsp?step=5"),
        ("GET", "/element/jsp/confirmation.jsp"),
        ("GET", "/"),
        ("GET", ""),
    ],
)
def test_all_else_is_refused(method: str, path: str) -> None:
    assert ask(method, path) == "not-allowed"


@pytest.mark.parametrize("application", ["other", "eAppointment/x", "xeAppointment", "eAppointment%2F"])
def test_other_applications_of_the_server_are_left_alone(application: str) -> None:
    address = f"https://{HOST}/{application}/appointment.do"
    assert GATE.refusal(Ask("GET", address, host=HOST)) == "not-allowed"
