"""Each hand-made page of ``tests/pages/ezbooking`` is read as its table says, and the helpers around it."""

from __future__ import annotations

import pytest

from guichets.outcomes import Outcome
from guichets.page import Page, Reading
from spiders.ezbooking import GATE, MAX_COUNTERS, STEP_TITLES, _target, read_page
from tests.spiders.page_table import PAGES, expected_pages

FORM = "https://www.example.fr/booking/create/12083"
HTTP = "http://www.example.fr/booking/create/12083"


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "cp1252", "iso-8859-15", "utf-16", "utf-16-le"])
@pytest.mark.parametrize(
    ("file", "rule"),
    [
        ("step0.html", "ezbooking.step0"),
        ("step1.html", "ezbooking.step1"),
        ("none-step2.html", "ezbooking.none.step2-sentence"),
        ("offered-step3.html", "ezbooking.offered.step3"),
        ("offered-step4.html", "ezbooking.offered.step4-slots"),
        ("closed-link-retired.html", "ezbooking.closed.link-retired"),
    ],
)
def test_declared_charset_is_read(file: str, rule: str, charset: str) -> None:
    body = (PAGES / "ezbooking" / file).read_text(encoding="utf-8").encode(charset)
    headers = {"content-type": f"text/html; charset={charset}"}
    assert read_page(Page(f"{FORM}/2", 200, headers, body)).rule == rule


def test_undeclared_latin1_is_read() -> None:
    body = (PAGES / "ezbooking" / "none-step2.html").read_text(encoding="utf-8").encode("cp1252")
    assert read_page(Page(f"{FORM}/2", 200, {}, body)).outcome is Outcome.NONE


@pytest.mark.parametrize(
    "charset",
    [
        *("utf-7", "idna", "punycode", "rot13", "hex", "base64", "undefined", "unicode_escape", "nonsense"),
        *("raw_unicode_escape", "mbcs", "charmap", "zip", "'", "utf-8; charset=punycode"),
    ],
)
def test_strange_declared_charset_is_not_believed(charset: str) -> None:
    body = (PAGES / "ezbooking" / "none-step2.html").read_text(encoding="utf-8").encode("cp1252")
    headers = {"content-type": f"text/html; charset={charset}"}
    assert read_page(Page(f"{FORM}/2", 200, headers, body)).outcome is Outcome.NONE


def test_invalid_utf8_in_a_utf8_page_spoils_only_its_own_word() -> None:
    body = (PAGES / "ezbooking" / "none-step2.html").read_bytes()
    spoiled = body.replace(b"Accueil", b"Acc\xc3")
    assert read_page(Page(f"{FORM}/2", 200, {}, spoiled)).outcome is Outcome.NONE


def test_latin1_page_announced_as_utf8_is_read() -> None:
    body = (PAGES / "ezbooking" / "none-step2.html").read_text(encoding="utf-8").encode("iso-8859-1")
    headers = {"content-type": "text/html; charset=utf-8"}
    assert read_page(Page(f"{FORM}/2", 200, headers, body)).outcome is Outcome.NONE


def test_nul_bytes_are_left_out() -> None:
    body = (PAGES / "ezbooking" / "none-step2.html").read_bytes().replace(b"plage", b"pl\x00age")
    assert read_page(Page(f"{FORM}/2", 200, {}, body)).outcome is Outcome.NONE


def test_deeply_nested_page_is_unrecognised() -> None:
    body = b"<html><body>" + b"<div>" * 50_000 + b"x" + b"</div>" * 50_000 + b"</body></html>"
    assert read_page(Page(FORM, 200, {}, body)).outcome is Outcome.UNRECOGNISED


def test_forty_counters_are_read_and_forty_one_are_not() -> None:
    body = (PAGES / "ezbooking" / "step1-too-many-counters.html").read_text(encoding="utf-8")
    fewer = body.replace('value="20040"', 'value=""')
    reading = read_page(Page(f"{FORM}/1", 200, {}, fewer.encode()))
    assert (reading.rule, len(reading.counters)) == ("ezbooking.step1", MAX_COUNTERS)


def test_no_step_beyond_the_calendar_is_ever_one_to_go_on_from() -> None:
    beyond = {step for step in STEP_TITLES.values() if step > GATE.stops_at}
    for expected in expected_pages("ezbooking"):
        reading = read_page(expected.page)
        assert not (reading.may_advance and reading.step in beyond)


@pytest.mark.parametrize(
    ("answered", "action", "target"),
    [
        pytest.param(f"{FORM}/1", "/booking/create/12083/1", f"{FORM}/1", id="relative"),
        pytest.param(f"{FORM}/2", f" {FORM}/1\n", f"{FORM}/1", id="absolute-with-spaces"),
        pytest.param(f"{FORM}/0", "1", f"{FORM}/1", id="last-segment-only"),
        pytest.param(f"{HTTP}/1", "/booking/create/12083/1", f"{HTTP}/1", id="scheme-of-the-page"),
        pytest.param(f"{HTTP}/1", None, f"{HTTP}/1", id="scheme-of-the-page-without-action"),
        pytest.param(f"{FORM}/1", f"{HTTP}/1", f"{HTTP}/1", id="http-hop-on-the-same-host"),
        pytest.param(
            f"{FORM}/1",
            "/index.php/booking/create/12083/1",
            "https://www.example.fr/index.php/booking/create/12083/1",
            id="front-controller",
        ),
        pytest.param(f"{FORM}/1", f"{FORM}/1#top", f"{FORM}/1", id="fragment-dropped"),
        pytest.param(f"{FORM}/1", None, f"{FORM}/1", id="absent"),
        pytest.param(f"{FORM}/1", "", f"{FORM}/1", id="empty"),
        pytest.param(f"{FORM}/1", "/booking/create/12083/5", f"{FORM}/1", id="step-5"),
        pytest.param(f"{FORM}/1", "/booking/create/12083/4", f"{FORM}/1", id="another-step"),
        pytest.param(f"{FORM}/1", "/booking/create/99999/1", f"{FORM}/1", id="another-form"),
        pytest.param(f"{FORM}/1", "/booking/create/12083/1?x=1", f"{FORM}/1", id="query"),
        pytest.param(f"{FORM}/1", "https://evil.example/booking/create/12083/1", f"{FORM}/1", id="host"),
        pytest.param(
            f"{FORM}/1", "https://www.example.fr:8443/booking/create/12083/1", f"{FORM}/1", id="port"
        ),
        pytest.param(f"{FORM}/1", "//[", f"{FORM}/1", id="not-an-address"),
        pytest.param(
            f"{FORM}/1", "https://www.example.fr:x/booking/create/12083/1", f"{FORM}/1", id="bad-port"
        ),
        pytest.param(f"{FORM}/1", "javascript:void(0)", f"{FORM}/1", id="script"),
        pytest.param(f"{FORM}/1", "ftp://www.example.fr/booking/create/12083/1", f"{FORM}/1", id="scheme"),
    ],
)
def test_form_posts_to_its_own_action_only_when_it_is_this_step(
    answered: str, action: str | None, target: str
) -> None:
    assert _target(answered, "/booking/create/12083", Reading(rule="x", action=action), "1") == target
