"""What an eAppointment server must never be asked, tried through a real crawl."""

from __future__ import annotations

import pytest

from guichets import dwr
from guichets.sandbox.families.eappointment import NEVER
from tests.crawl_fixtures import Workshop
from tests.trespass_fixtures import Trespass, Tries, get, post, try_each

PAGE = "/eAppointment1/element/jsp/appointment.jsp"
FEEDER = "AjaxSelectionFormFeeder"
DAYS = dwr.Method(FEEDER, "getClosedDaysList", ("string", "string"), before=1)
READING = DAYS.body(["site7", "20012"], dialect=3, page=PAGE, batch=0).decode()


def call(name: str, script: str, method: str, dialect: int = 2) -> Trespass:
    remote = dwr.Method(script, method, before=2)
    body = remote.body([], dialect=dialect, page=PAGE, batch=0).decode()
    return post(name, f"/eAppointment1/dwr/call/plaincall/{remote.file}", body, "text/plain")


def reading(name: str, body: str, kind: str = "text/plain") -> Trespass:
    return post(name, f"/eAppointment1/dwr/call/plaincall/{DAYS.file}", body, kind)


FORBIDDEN = (
    *(call(name, FEEDER, name) for name in NEVER),
    *(call(f"{name}-in-dialect-3", "AjaxAvailableTimeArea", name, 3) for name in NEVER),
    call("next-step", FEEDER, "incrementStep"),
    call("language", FEEDER, "setLanguage"),
    # what takes, hidden in a call that reads
    reading("another-method", READING.replace("getClosedDaysList", "confirmAppointment")),
    reading("another-script", READING.replace(FEEDER, "AjaxAvailableTimeArea")),
    reading(
        "two-calls", READING.replace("callCount=1", "callCount=2") + "c1-methodName=confirmAppointment\n"
    ),
    reading("more-lines", READING + "c1-methodName=confirmAppointment\n"),
    reading("as-a-form", READING, "application/x-www-form-urlencoded"),
    reading("as-json", READING, "application/json"),
    reading("empty", ""),
    get("by-get", f"/eAppointment1/dwr/call/plaincall/{DAYS.file}"),
    # forms, identity, captcha
    post("form-of-a-step", "{form}", "selectedMotiveKeyList=20"),
    post("identity", "/eAppointment1/element/jsp/appointment.jsp", "userLastName=x&imgc=abcd"),
    get("captcha", "/eAppointment1/captcha?1"),
    get("identity-in-the-address", "{form}?userLastName=x"),
    # the rest of the server
    get("tests-of-dwr", "/eAppointment1/dwr/index.html"),
    get("front-page", "/eAppointment1/element/jsp/specific/pref94.jsp"),
    get("another-application", "/manager/html"),
    *(Trespass(f"method-{method}", method) for method in ("HEAD", "PUT", "OPTIONS")),
    Trespass("another-host", url="http://{other}{form}"),
)


@pytest.fixture(scope="module")
def tries(module_workshop: Workshop) -> Tries:
    return try_each(module_workshop, "eappointment", FORBIDDEN, mixture="offered")


def test_no_forbidden_request_reaches_a_server(tries: Tries) -> None:
    assert tries.received == []
    assert tries.box.tripwires() == []


def test_each_forbidden_request_ends_its_probe_as_our_fault(tries: Tries) -> None:
    assert {tries.desks[desk].name for desk in tries.result.desks} == {one.name for one in FORBIDDEN}
    assert tries.let_through == {}
    assert tries.stats["guichets/gate_refused"] == len(FORBIDDEN)
