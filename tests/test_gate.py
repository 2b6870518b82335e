"""What may leave and what may not, asked of EZBooking's gate and of the gate's own arithmetic."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote, urlencode

import pytest

from guichets.gate import FORM_TYPE, NOTHING, Allow, Ask, Gate, same_host
from spiders.ezbooking import GATE

HOST = "www.example.fr"
SITE = f"https://{HOST}"
FORM = f"{SITE}/booking/create/12083"
ACCEPT = "Effectuer une demande de rendez-vous"
NEXT = "Etape suivante"
FIRST_SLOT = "Première plage horaire libre"
ACCEPTED = {"condition": "on", "nextButton": ACCEPT}
CHOSEN = {"planning": "14673", "nextButton": NEXT}
WEEK = "/ezjscore/call/bookingserver::planning::assign::12083::14673::7"


def get(url: str, **more: object) -> Ask:
    return Ask("GET", url, host=HOST, **more)  # type: ignore[arg-type]


def post(url: str, fields: dict[str, str] | bytes | str, content_type: str = FORM_TYPE) -> Ask:
    if isinstance(fields, dict):
        fields = urlencode(fields)
    body = fields if isinstance(fields, bytes) else fields.encode()
    return Ask("POST", url, body=body, content_type=content_type, host=HOST)


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(get(FORM), id="form"),
        pytest.param(get(f"{FORM}/0"), id="step-0"),
        pytest.param(get(f"{FORM}/1"), id="step-1"),
        pytest.param(get(f"{FORM}/2", redirected=True), id="step-2-redirected"),
        pytest.param(get(f"{FORM}/3", redirected=True), id="step-3-redirected"),
        pytest.param(get(f"{FORM}/4", redirected=True), id="step-4-redirected"),
        pytest.param(get(f"http://{HOST}/booking/create/12083/1", redirected=True), id="http-hop"),
        pytest.param(get("https://WWW.Example.FR/booking/create/12083"), id="host-in-capitals"),
        pytest.param(get(f"{SITE}:443/booking/create/12083"), id="port-of-the-scheme"),
        pytest.param(get(f"{SITE}/index.php/booking/create/16105/1"), id="front-controller"),
        pytest.param(get(f"{SITE}/layout/set/print/booking/create/9845"), id="print-layout"),
        pytest.param(get(f"{SITE}{WEEK}"), id="week-calendar"),
        pytest.param(get(f"{SITE}/robots.txt"), id="robots"),
        pytest.param(get(f"{FORM}/1?"), id="empty-query"),
        pytest.param(get(f"{FORM}/1#main"), id="fragment-which-never-leaves"),
        pytest.param(post(f"{FORM}/0", ACCEPTED), id="accept"),
        pytest.param(post(f"{FORM}/0", dict(reversed(ACCEPTED.items()))), id="accept-in-another-order"),
        pytest.param(post(f"{FORM}/0", ACCEPTED, f"{FORM_TYPE}; charset=utf-8"), id="accept-with-charset"),
        pytest.param(
            post(f"{FORM}/0", urlencode(ACCEPTED, quote_via=quote)), id="accept-with-spaces-as-percent-20"
        ),
        pytest.param(post(f"{SITE}/index.php/booking/create/16105/0", ACCEPTED), id="accept-index-php"),
        pytest.param(post(f"{FORM}/1", CHOSEN), id="choose"),
        pytest.param(post(f"{FORM}/3", {"nextButton": NEXT}), id="go-on-from-the-description"),
    ],
)
def test_request_of_the_funnel_may_leave(ask: Ask) -> None:
    assert GATE.refusal(ask) is None


STEPS_NOT_POSTED = [
    pytest.param(post(f"{FORM}/{step}", fields), id=f"post-step-{step}-{name}")
    for step in ("2", "4", "5", "6", "7", "8", "9", "10", "00", "03")
    for name, fields in (
        ("next", {"nextButton": NEXT}),
        ("first-slot", {"nextButton": FIRST_SLOT}),
        ("accept", ACCEPTED),
    )
]
STEPS_NOT_GOT = [
    pytest.param(get(f"{SITE}{prefix}/booking/create/12083/{rest}", redirected=redirected), id=f"get-{name}")
    for prefix in ("", "/index.php", "/layout/set/print")
    for redirected in (False, True)
    for rest in ("5", "5/14673/1773734400", "5/1773734400/", "6", "7", "8", "9", "confirm", "-1", "44", "04")
    for name in (f"{rest}{prefix}-{redirected}",)
]
PERSONAL = (
    *("firstname", "lastname", "email", "emailcheck", "number_agdref", "end_date_validity", "post_code"),
    *("is_foreign", "manageButton", "createButton", "finishButton", "g-recaptcha-response"),
    *("eZHumanCAPTCHACode", "emailInput", "number_agdrefInput", "end_date_validityInput", "agdrefLoader"),
    *("ezbooking-email", "ezplanning-verification", "condition[]", "ezxform_token"),
)
BODIES = [
    *(
        pytest.param(post(f"{FORM}/{step}", {**fields, name: value}), id=f"field-{name}-on-{step}")
        for step, fields in (("0", ACCEPTED), ("1", CHOSEN), ("3", {"nextButton": NEXT}))
        for name in PERSONAL
        for value in ("x",)
    ),
    *(
        pytest.param(post(f"{FORM}/{step}", body), id=f"body-{step}-{name}")
        for step, name, body in (
            ("0", "empty", b""),
            ("0", "manage", {"manageButton": "Annuler, consulter et gérer mes demandes de rendez-vous"}),
            ("0", "without-condition", {"nextButton": ACCEPT}),
            ("0", "condition-off", {**ACCEPTED, "condition": "off"}),
            ("0", "first-slot", {**ACCEPTED, "nextButton": FIRST_SLOT}),
            ("0", "next", {**ACCEPTED, "nextButton": NEXT}),
            ("0", "older-label", {**ACCEPTED, "nextButton": "Effectuer une demande de réservation"}),
            ("0", "button-longer", {**ACCEPTED, "nextButton": ACCEPT + " "}),
            ("0", "button-newline", {**ACCEPTED, "nextButton": ACCEPT + "\n"}),
            ("0", "button-in-capitals", {**ACCEPTED, "nextButton": ACCEPT.upper()}),
            ("0", "name-in-capitals", {"CONDITION": "on", "nextButton": ACCEPT}),
            ("0", "twice", urlencode(ACCEPTED) + "&condition=on"),
            ("0", "second-button", urlencode(ACCEPTED) + "&nextButton=" + quote(FIRST_SLOT)),
            ("0", "empty-pair", urlencode(ACCEPTED) + "&"),
            ("0", "leading-separator", "&" + urlencode(ACCEPTED)),
            ("0", "no-value", urlencode(ACCEPTED) + "&manageButton"),
            ("0", "semicolon", urlencode(ACCEPTED) + ";manageButton=1"),
            ("0", "semicolon-inside", "condition=on&nextButton=Effectuer;nextButton=x"),
            ("0", "not-ascii", b"condition=on&nextButton=" + "é".encode()),
            ("0", "bad-percent", b"condition=on&nextButton=%ff%fe"),
            ("0", "json", b'{"condition": "on"}'),
            ("0", "nul", urlencode(ACCEPTED) + "%00"),
            ("1", "empty", b""),
            ("1", "no-planning", {"nextButton": NEXT}),
            ("1", "planning-empty", {**CHOSEN, "planning": ""}),
            ("1", "planning-word", {**CHOSEN, "planning": "14673x"}),
            ("1", "planning-signed", {**CHOSEN, "planning": "-1"}),
            ("1", "planning-spaces", {**CHOSEN, "planning": " 14673"}),
            ("1", "planning-arabic-digits", {**CHOSEN, "planning": "١٤٦٧٣"}),
            ("1", "planning-fullwidth-digits", {**CHOSEN, "planning": "１４６７３"}),
            ("1", "planning-newline", {**CHOSEN, "planning": "14673\n"}),
            ("1", "plannings", urlencode(CHOSEN) + "&planning=14674"),
            ("1", "first-slot", {**CHOSEN, "nextButton": FIRST_SLOT}),
            ("1", "accent", {**CHOSEN, "nextButton": "Étape suivante"}),
            ("3", "empty", b""),
            ("3", "first-slot", {"nextButton": FIRST_SLOT}),
            ("3", "accept", {"nextButton": ACCEPT}),
            ("3", "planning-too", CHOSEN),
        )
    ),
    *(
        pytest.param(post(f"{FORM}/0", ACCEPTED, kind), id=f"type-{kind or 'none'}")
        for kind in ("", "multipart/form-data; boundary=x", "text/plain", "application/json", FORM_TYPE + "x")
    ),
    pytest.param(get(FORM, body=b"x"), id="get-with-a-body"),
    pytest.param(get(f"{FORM}/0", body=urlencode(ACCEPTED).encode(), content_type=FORM_TYPE), id="get-form"),
    pytest.param(get(f"{SITE}/robots.txt", body=b"x"), id="robots-with-a-body"),
]
ADDRESSES = [
    pytest.param(get(url), id=f"address-{name}")
    for name, url in (
        ("root", f"{SITE}/"),
        ("no-path", SITE),
        ("confirm", f"{SITE}/booking/confirm/abc"),
        ("confirm-index-php", f"{SITE}/index.php/booking/confirm/abc"),
        ("captcha", f"{SITE}/ezjscore/call/bookingserver::captcha"),
        ("verification", f"{SITE}/ezjscore/call/ezplanning-verification::1"),
        ("week-more", f"{SITE}{WEEK}::8"),
        ("week-less", f"{SITE}/ezjscore/call/bookingserver::planning::assign::12083::14673"),
        ("week-negative", f"{SITE}/ezjscore/call/bookingserver::planning::assign::12083::14673::-7"),
        ("week-encoded", f"{SITE}/ezjscore/call/bookingserver%3A%3Aplanning::assign::1::2::3"),
        ("week-query", f"{SITE}{WEEK}?ContentType=json"),
        ("step-2-directly", f"{FORM}/2"),
        ("step-3-directly", f"{FORM}/3"),
        ("step-4-directly", f"{FORM}/4"),
        ("no-form", f"{SITE}/booking/create/"),
        ("form-not-a-number", f"{SITE}/booking/create/abc"),
        ("form-arabic-digits", f"{SITE}/booking/create/١٢٠٨٣/0"),
        ("form-fullwidth-digits", f"{SITE}/booking/create/１２０８３/0"),
        ("form-encoded-digits", f"{SITE}/booking/create/%31%32083/0"),
        ("step-encoded-5", f"{FORM}/%35"),
        ("step-encoded-0", f"{FORM}/%30"),
        ("trailing-slash", f"{FORM}/"),
        ("trailing-slash-step", f"{FORM}/0/"),
        ("double-slash-start", f"{SITE}//booking/create/12083/0"),
        ("double-slash-inside", f"{SITE}/booking//create/12083/0"),
        ("double-slash-step", f"{FORM}//0"),
        ("dot", f"{FORM}/./0"),
        ("dot-dot", f"{FORM}/0/../5"),
        ("dot-dot-back", f"{SITE}/booking/create/1/5/../../12083/0"),
        ("encoded-dot-dot", f"{FORM}/0/%2e%2e/5"),
        ("encoded-slash", f"{SITE}/booking/create/12083%2f0"),
        ("backslash", f"{SITE}/booking/create/12083\\0"),
        ("path-parameter", f"{FORM}/0;jsessionid=1"),
        ("upper-case", f"{SITE}/BOOKING/create/12083/0"),
        ("query", f"{FORM}/0?x=1"),
        ("query-step", f"{FORM}?step=5"),
        ("robots-query", f"{SITE}/robots.txt?x=1"),
        ("robots-index-php", f"{SITE}/index.php/robots.txt"),
        ("robots-deeper", f"{FORM}/robots.txt"),
        ("prefix-twice", f"{SITE}/index.php/index.php/booking/create/12083"),
        ("prefix-unknown", f"{SITE}/fre/booking/create/12083"),
        ("prefix-glued", f"{SITE}/index.phpbooking/create/12083"),
        ("suffix", f"{FORM}/0/extra"),
        ("space", f"{FORM}/0 "),
        ("leading-space", f" {FORM}/0"),
        ("encoded-newline", f"{FORM}/0%0a"),
        ("newline", f"{FORM}/0\n"),
        ("newline-inside", f"{SITE}/booking/cre\nate/12083/0"),
        ("tab-inside", f"{FORM}\t/0"),
        ("carriage-return", f"{FORM}/0\r\nX-Header: 1"),
        ("nul", f"{FORM}/0\x00"),
    )
]
HOSTS = [
    pytest.param(get(url), id=f"host-{name}")
    for name, url in (
        ("other", "https://evil.example/booking/create/12083/0"),
        ("other-robots", "https://evil.example/robots.txt"),
        ("without-www", "https://example.fr/booking/create/12083/0"),
        ("below", f"https://a.{HOST}/booking/create/12083/0"),
        ("longer", f"https://{HOST}.evil.example/booking/create/12083/0"),
        ("trailing-dot", f"https://{HOST}./booking/create/12083/0"),
        ("other-port", f"https://{HOST}:8443/booking/create/12083/0"),
        ("port-8080", f"http://{HOST}:8080/booking/create/12083/0"),
        ("port-zero", f"http://{HOST}:0/booking/create/12083/0"),
        ("port-word", f"http://{HOST}:https/booking/create/12083/0"),
        ("port-too-big", f"http://{HOST}:99999/booking/create/12083/0"),
        ("user", f"https://user@{HOST}/booking/create/12083/0"),
        ("empty-user", f"https://@{HOST}/booking/create/12083/0"),
        ("password", f"https://user:word@{HOST}/booking/create/12083/0"),
        ("user-is-the-host", f"https://{HOST}@evil.example/booking/create/12083/0"),
        ("backslash-before-at", f"https://evil.example\\@{HOST}/booking/create/12083/0"),
        ("letter-alike", "https://www.exаmple.fr/booking/create/12083/0"),
        ("none", "https:///booking/create/12083/0"),
        ("relative", "/booking/create/12083/0"),
        ("scheme-relative", f"//{HOST}/booking/create/12083/0"),
        ("ftp", f"ftp://{HOST}/booking/create/12083/0"),
        ("file", f"file://{HOST}/booking/create/12083/0"),
        ("data", "data:text/html,<p>"),
        ("script", "javascript:void(0)"),
        ("bracket", "https://[/booking/create/12083/0"),
        ("empty", ""),
    )
]
METHODS = [
    pytest.param(Ask(method, f"{FORM}/0", host=HOST), id=f"method-{method or 'none'}")
    for method in ("HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "Get", "GET ", "")
]


@pytest.mark.parametrize("ask", [*STEPS_NOT_POSTED, *STEPS_NOT_GOT, *BODIES, *ADDRESSES, *HOSTS, *METHODS])
def test_request_outside_the_funnel_never_leaves(ask: Ask) -> None:
    assert GATE.refusal(ask) is not None


@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        (get("https://evil.example/booking/create/1"), "off-host"),
        (get(f"https://user@{HOST}/booking/create/1"), "bad-url"),
        (get(f"{FORM}/0\n"), "bad-url"),
        (get(f"{FORM}/5"), "not-allowed"),
        (get(f"{FORM}/4"), "not-allowed"),
        (post(f"{FORM}/3", {"nextButton": FIRST_SLOT}), "body"),
        (post(f"{FORM}/4", {"nextButton": NEXT}), "not-allowed"),
    ],
)
def test_refusal_says_why_in_a_stable_word(ask: Ask, reason: str) -> None:
    assert GATE.refusal(ask) == reason


def test_gate_of_nothing_lets_only_robots_txt_through() -> None:
    assert NOTHING.refusal(get(FORM)) == "not-allowed"
    assert NOTHING.refusal(get(f"{SITE}/robots.txt")) is None


def test_unknown_host_of_the_desk_refuses_everything() -> None:
    assert GATE.refusal(Ask("GET", FORM)) == "off-host"


def test_query_row_wants_its_names_and_values_exactly() -> None:
    gate = Gate(rows=(Allow("GET", "/find", query={"name": r"[a-z]+"}),))
    assert gate.refusal(get(f"{SITE}/find?name=abc")) is None
    for query in ("", "name=ABC", "name=abc&name=abc", "name=abc&x=1", "other=abc", "name"):
        assert gate.refusal(get(f"{SITE}/find?{query}")) is not None


@pytest.mark.parametrize(
    ("host", "name", "port", "same"),
    [
        ("www.example.fr", "www.example.fr", None, True),
        ("www.example.fr", "WWW.EXAMPLE.FR", 443, True),
        ("www.example.fr:80", "www.example.fr", None, True),
        ("www.example.fr", "www.example.fr", 8000, False),
        ("127.0.0.20:8001", "127.0.0.20", 8001, True),
        ("127.0.0.20:8001", "127.0.0.20", 8002, False),
        ("127.0.0.20:8001", "127.0.0.20", None, False),
        ("[::1]:8001", "::1", 8001, True),
        ("", "", None, False),
    ],
)
def test_host_is_a_name_and_a_port(host: str, name: str, port: int | None, same: bool) -> None:
    assert same_host(host, name, port) is same


@pytest.mark.parametrize(
    ("url", "known"),
    [
        (f"{FORM}/0", True),
        (f"{SITE}/index.php/booking/create/1", True),
        (f"{FORM}/4", True),
        (f"{FORM}/5", False),
        ("https://[", False),
        (f"{SITE}/", False),
    ],
)
def test_gate_knows_the_addresses_of_its_family(url: str, known: bool) -> None:
    assert GATE.knows(url) is known


SEARCH = Gate(
    rows=(
        Allow("GET", "/search", query={"org": "[0-9]+"}, optional={"place": "[0-9]+", "ids[]": "[0-9]+"}),
        Allow("POST", "/api", body=r'\{"q":"[a-z]+"\}', content_type="application/json"),
        Allow("HEAD", "/handshake"),
    )
)


@pytest.mark.parametrize(
    ("ask", "refusal"),
    [
        (get("/search?org=1"), None),
        (get("/search?org=1&place=2"), None),
        (get("/search?org=1&ids[]=2&ids[]=3"), None),
        (get("/search?place=2"), "not-allowed"),
        (get("/search"), "not-allowed"),
        (get("/search?org=1&org=1"), "not-allowed"),
        (get("/search?org=1&place=2&place=2"), "not-allowed"),
        (get("/search?org=1&place=x"), "not-allowed"),
        (get("/search?org=1&other=2"), "not-allowed"),
        (get("/search?org=1&ids[]=x"), "not-allowed"),
        (Ask("HEAD", "/handshake"), None),
        (Ask("HEAD", "/search?org=1"), "not-allowed"),
        (Ask("POST", "/api", b'{"q":"open"}', "application/json"), None),
        (Ask("POST", "/api", b'{"q":"open"}', "application/json; charset=utf-8"), None),
        (Ask("POST", "/api", b'{"q":"open"}', "text/plain"), "body"),
        (Ask("POST", "/api", b'{"q":"open"} ', "application/json"), "body"),
        (Ask("POST", "/api", b'{"q":"open"}\n', "application/json"), "body"),
        (Ask("POST", "/api", '{"q":"é"}'.encode(), "application/json"), "body"),
        (Ask("POST", "/api", b"", "application/json"), "body"),
    ],
)
def test_optional_queries_and_other_bodies_than_forms(ask: Ask, refusal: str | None) -> None:
    assert SEARCH.refusal(replace(ask, url=f"https://desk.example{ask.url}", host="desk.example")) == refusal


SPOKEN = Gate(
    rows=(
        Allow("GET", "/talk", message={"place": "[A-Z][a-zé]+", "km": "20", "at": r"-?\d+\.\d+"}),
        Allow("GET", "/page"),
    )
)
SAID = b'{"place": "Gu\\u00e9ret", "km": 20, "at": -1.5}'


@pytest.mark.parametrize(
    ("url", "body", "refusal"),
    [
        pytest.param("wss://www.example.fr/talk", SAID, None, id="right"),
        pytest.param("ws://www.example.fr/talk", SAID, None, id="plain-scheme"),
        pytest.param("ws://www.example.fr/talk", b'{"at":-1.5,"km":"20","place":"Caen"}', None, id="order"),
        pytest.param("https://www.example.fr/talk", SAID, "not-allowed", id="a-get-with-a-body"),
        pytest.param("wss://www.example.fr/page", b"", "not-allowed", id="a-page-over-a-websocket"),
        pytest.param("wss://www.example.fr/robots.txt", b"", "not-allowed", id="robots-over-a-websocket"),
        pytest.param("wss://www.example.fr/talk?token=1", SAID, "not-allowed", id="query"),
        pytest.param("wss://www.example.org/talk", SAID, "off-host", id="another-host"),
        pytest.param("wss://www.example.fr/talk", b"", "body", id="nothing"),
        pytest.param("wss://www.example.fr/talk", b"hello", "body", id="no-json"),
        pytest.param("wss://www.example.fr/talk", b"[]", "body", id="a-list"),
        pytest.param("wss://www.example.fr/talk", b"{}", "body", id="no-keys"),
        pytest.param("wss://www.example.fr/talk", SAID[:-1] + b', "token": "x"}', "body", id="one-key-more"),
        pytest.param("wss://www.example.fr/talk", SAID[:-1] + b', "km": 20}', "body", id="a-key-twice"),
        pytest.param("wss://www.example.fr/talk", SAID.replace(b"20", b"60"), "body", id="another-value"),
        pytest.param("wss://www.example.fr/talk", SAID.replace(b"20", b"true"), "body", id="a-boolean"),
        pytest.param("wss://www.example.fr/talk", SAID.replace(b"20", b'["20"]'), "body", id="nested"),
        pytest.param("wss://www.example.fr/talk", SAID.replace(b"20", b"20}") + b"{", "body", id="two"),
        pytest.param(
            "wss://www.example.fr/talk", SAID.replace(b"\\u00e9", "é".encode()), "body", id="not-ascii"
        ),
        pytest.param("wss://www.example.fr/talk", b"[" * 50_000, "body", id="deep"),
    ],
)
def test_message_of_a_websocket_holds_the_named_keys_and_their_values(
    url: str, body: bytes, refusal: str | None
) -> None:
    assert SPOKEN.refusal(get(url, body=body)) == refusal


def test_row_has_fields_or_a_body() -> None:
    with pytest.raises(ValueError, match="one of them"):
        Allow("POST", "/api", fields={}, body="x")
    with pytest.raises(ValueError, match="one of them"):
        Allow("POST", "/api", json={}, fields={})


ASKING = Gate(rows=(Allow("POST", "/api/slots", json={"config": r'"[a-z]{1,8}"', "person": "null"}),))


def asked(body: str | bytes, content_type: str = "application/json") -> str | None:
    return ASKING.refusal(post(f"{SITE}/api/slots", body, content_type))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ('{"config":"abc","person":null}', "application/json"),
        ('{ "person" : null, "config" : "abc" }\n', "application/json; charset=UTF-8"),
    ],
)
def test_json_of_exactly_the_named_keys_may_leave(body: str, content_type: str) -> None:
    assert asked(body, content_type) is None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("", id="nothing"),
        pytest.param("null", id="null"),
        pytest.param('[{"config":"abc","person":null}]', id="list"),
        pytest.param('{"config":"abc"}', id="key-missing"),
        pytest.param('{"config":"abc","person":null,"x":1}', id="key-more"),
        pytest.param('{"config":"abc","person":"0e9f"}', id="value"),
        pytest.param('{"config":"ABC","person":null}', id="value-of-other-letters"),
        pytest.param('{"config":["abc"],"person":null}', id="value-in-a-list"),
        pytest.param('{"person":"0e9f","config":"abc","person":null}', id="key-twice"),
        pytest.param('{"config":{"a":1,"a":2},"person":null}', id="key-twice-inside"),
        pytest.param('{"config":"abc","person":null}{}', id="more-behind-it"),
        pytest.param('{"config":"abc","person":null', id="cut"),
        pytest.param(b'{"config":"abc\xff","person":null}', id="no-text"),
        pytest.param("[" * 100_000, id="nested-too-deep"),
        pytest.param('{"config":"abc","person":null}' + " " * 200_000, id="too-long"),
    ],
)
def test_any_other_json_is_refused(body: str | bytes) -> None:
    assert asked(body) == "body"


def test_json_sent_as_something_else_is_refused() -> None:
    for kind in ("", "text/plain", FORM_TYPE, "application/jsonp"):
        assert asked('{"config":"abc","person":null}', kind) == "body"
