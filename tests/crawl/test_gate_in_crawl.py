"""Every request the dossier forbids, tried through a real crawl: none leaves, each is owned up to."""

from __future__ import annotations

from asyncio import StreamWriter
from collections.abc import Iterator

import pytest

from guichets.sandbox.families.ezbooking import FORBIDDEN_FIELDS
from tests.crawl_fixtures import Workshop, write_desks
from tests.hostile_server import Answer, HostileServer, page, redirect
from tests.trespass_fixtures import Trespass, Tries, get, post, try_each

ACCEPT = "condition=on&nextButton=Effectuer+une+demande+de+rendez-vous"
NEXT = "nextButton=Etape+suivante"
FIRST_SLOT = "nextButton=Premi%C3%A8re+plage+horaire+libre"

FORBIDDEN = (
    # steps beyond the calendar, whatever the method
    get("take-a-slot", "{form}/5/1/1893456000"),
    get("take-a-slot-by-print", "/layout/set/print{form}/5/1/1893456000"),
    get("take-a-slot-by-index", "/index.php{form}/5/1/1893456000"),
    get("take-a-slot-without-lease", "{form}/5/1/1893456000", unleased=True),
    *(get(f"get-step-{step}", f"{{form}}/{step}") for step in range(5, 10)),
    *(post(f"post-step-{step}", f"{{form}}/{step}", NEXT) for step in (2, *range(4, 10))),
    # steps the site leads to, never asked for
    *(get(f"get-step-{step}", f"{{form}}/{step}") for step in (2, 3, 4)),
    # buttons
    post("first-slot-at-4", "{form}/4", FIRST_SLOT),
    post("first-slot-at-3", "{form}/3", FIRST_SLOT),
    post("first-slot-at-1", "{form}/1", f"planning=1&{FIRST_SLOT}"),
    post("first-slot-at-0", "{form}/0", f"condition=on&{FIRST_SLOT}"),
    post("finish-button", "{form}/2", "finishButton=Terminer"),
    post("manage-button", "{form}/0", "condition=on&manageButton=Annuler"),
    post("both-buttons", "{form}/0", f"{ACCEPT}&manageButton=Annuler"),
    post("create-button", "{form}/1", "createButton=1"),
    # personal data, captcha
    *(post(f"field-{name}", "{form}/0", f"{ACCEPT}&{name}=x") for name in sorted(FORBIDDEN_FIELDS)),
    *(post(f"field-{name}-at-3", "{form}/3", f"{NEXT}&{name}=x") for name in ("email", "firstname")),
    get("captcha", "/ezjscore/call/bookingserver::captcha"),
    post("captcha-posted", "/ezjscore/call/bookingserver::captcha", "eZHumanCAPTCHACode=abcde"),
    get("confirm", "/booking/confirm/1/abc"),
    get("verification", "/ezjscore/call/ezplanning-verification::1"),
    get("other-call", "/ezjscore/call/bookingserver::planning::take::1::2::0"),
    # bodies that are nearly right
    post("no-condition", "{form}/0", "nextButton=Effectuer+une+demande+de+rendez-vous"),
    post("condition-twice", "{form}/0", f"condition=on&{ACCEPT}"),
    post("empty-body", "{form}/1", ""),
    post("two-plannings", "{form}/1", f"planning=1&planning=2&{NEXT}"),
    post("planning-not-a-number", "{form}/1", f"planning=1%27--&{NEXT}"),
    post("planning-at-0", "{form}/0", f"planning=1&{NEXT}"),
    post("semicolon", "{form}/3", f"{NEXT};email=x"),
    post("json", "{form}/3", '{"nextButton": "Etape suivante"}', "application/json"),
    post("json-type", "{form}/3", NEXT, "application/json"),
    post("no-form", "/booking/create/0", ACCEPT),
    get("get-with-body", "{form}/0", body=ACCEPT),
    # methods and addresses
    *(
        Trespass(f"method-{method}", method)
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE")
    ),
    get("query", "{form}/0?step=5"),
    get("encoded-step", "{form}/%35/1/1893456000"),
    get("dots", "{form}/0/../5/1/1893456000"),
    get("backslash", "{form}\\5"),
    get("parameters", "{form}/0;x=/5"),
    get("two-prefixes", "/index.php/index.php{form}/0"),
    get("home", "/"),
    get("manage-page", "/booking/manage"),
    get("robots-with-query", "/robots.txt?x=1"),
    post("robots-posted", "/robots.txt", "a=b"),
    Trespass("another-host", url="http://{other}{form}/0"),
    Trespass("another-port", url="http://127.0.0.1:9{form}/0"),
    Trespass("user-in-address", url="http://prefecture@{host}{form}/0"),
    Trespass("host-as-user", url="http://{host}@{other}{form}/0"),
    Trespass("ftp", url="ftp://{host}{form}/0"),
    Trespass("file", url="file:///etc/hostname"),
    Trespass("data", url="data:text/html,libre"),
    Trespass("not-a-control-page", url="http://{host}/", meta={"guichets_control": True}),
    post("control-posted", "{form}/5", NEXT, meta={"guichets_control": True}),
    get("as-if-robots", "{form}/5/1/1893456000", meta={"guichets_robots": True}),
    get("as-if-redirected", "{form}/5/1/1893456000", meta={"guichets_redirected": True}),
)


@pytest.fixture(scope="module")
def tries(module_workshop: Workshop) -> Tries:
    return try_each(module_workshop, "ezbooking", FORBIDDEN, mixture="offered")


def test_no_forbidden_request_reaches_a_site(tries: Tries) -> None:
    assert tries.received == []
    assert {line["method"] for line in tries.box.ledger()} == {"GET"}
    assert tries.box.tripwires() == []


def test_each_forbidden_request_ends_its_probe_as_our_fault(tries: Tries) -> None:
    assert {tries.desks[desk].name for desk in tries.result.desks} == {one.name for one in FORBIDDEN}
    assert tries.let_through == {}
    assert tries.result.status == 1  # nothing but our own faults


def test_each_refusal_is_counted_with_its_reason(tries: Tries) -> None:
    assert tries.stats["guichets/gate_refused"] == len(FORBIDDEN)
    reasons = {
        name: count for name, count in tries.stats.items() if name.startswith("guichets/gate_refused/")
    }
    assert sum(reasons.values()) == len(FORBIDDEN)
    assert {name.rpartition("/")[2] for name in reasons} >= {"not-allowed", "body", "off-host", "control"}
    assert tries.result.log.count("the gate refused a request, nothing was sent") == len(FORBIDDEN)


# Redirects

CONDITIONS = page(
    '<html><body><form id="FormBookingCreate" action="/booking/create/100/0" method="post">'
    '<input type="checkbox" id="condition" name="condition">'
    '<input type="submit" name="nextButton" value="Effectuer une demande de rendez-vous">'
    "</form></body></html>"
)
BEYOND = {  # where the answer to the honest POST of step 0 sends us, and how
    "to-5": redirect("/booking/create/100/5/1/1893456000"),
    "to-6": redirect("/booking/create/100/6", "303 See Other"),
    "to-9": redirect("/booking/create/100/9", "301 Moved Permanently"),
    "to-confirm": redirect("/booking/confirm/1/abc"),
    "to-captcha": redirect("/ezjscore/call/bookingserver::captcha"),
    "to-home": redirect("/"),
    "to-query": redirect("/booking/create/100/1?accept=1"),
    "to-another-form-beyond": redirect("/booking/create/101/7"),
    "off-host": redirect("http://127.0.0.9/booking/create/100/1"),
    "off-host-no-scheme": redirect("//127.0.0.9/booking/create/100/1"),
    "off-port": redirect("http://127.0.0.1:9/booking/create/100/1"),
    "again-to-4": redirect("/booking/create/100/4", "307 Temporary Redirect"),
    "again-to-1": redirect("/booking/create/100/1", "307 Temporary Redirect"),
    "again-to-5": redirect("/booking/create/100/5", "308 Permanent Redirect"),
    "again-off-host": redirect("http://127.0.0.9/booking/create/100/0", "308 Permanent Redirect"),
}


def after_conditions(answer: bytes) -> Answer:
    async def serve(request: bytes, writer: StreamWriter) -> None:
        writer.write(answer if request.startswith(b"POST /booking/create/100/0 ") else CONDITIONS)

    return serve


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    with HostileServer() as running:
        yield running


def test_no_redirect_leads_beyond_the_gate(module_workshop: Workshop, server: HostileServer) -> None:
    hosts = {name: server.add(after_conditions(answer)) for name, answer in BEYOND.items()}
    urls = {name: f"http://{host}/booking/create/100" for name, host in hosts.items()}
    result = module_workshop.crawler(write_desks(module_workshop.folder("catalogue"), urls)).run()
    asked = {tuple(server.paths(host)) for host in hosts.values()}
    assert asked == {("GET /robots.txt", "GET /booking/create/100/0", "POST /booking/create/100/0")}
    assert {(line["outcome"], line["rule"].partition(".")[0]) for line in result.desks.values()} == {
        ("observer_fault", "gate")
    }
    assert set(result.desks) == set(BEYOND)


def test_a_redirect_that_repeats_an_allowed_post_is_followed(
    module_workshop: Workshop, server: HostileServer
) -> None:
    async def serve(request: bytes, writer: StreamWriter) -> None:
        if request.startswith(b"POST /booking/create/100/0 "):
            writer.write(redirect("/index.php/booking/create/100/0", "307 Temporary Redirect"))
        elif request.startswith(b"POST /index.php/"):
            assert request.endswith(ACCEPT.encode())
            writer.write(redirect("/index.php/booking/create/100/2", "302 Found"))
        elif b"/2 " in request:
            writer.write(page("<html><body><h1>403 Forbidden</h1></body></html>", "403 Forbidden"))
        else:
            writer.write(CONDITIONS)

    host = server.add(serve)
    urls = {"moved": f"http://{host}/booking/create/100"}
    result = module_workshop.crawler(write_desks(module_workshop.folder("catalogue"), urls)).run()
    assert server.paths(host) == [
        "GET /robots.txt",
        "GET /booking/create/100/0",
        "POST /booking/create/100/0",
        "POST /index.php/booking/create/100/0",
        "GET /index.php/booking/create/100/2",
    ]
    assert result.desks["moved"]["outcome"] == "blocked"
