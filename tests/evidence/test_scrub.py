"""Whatever is planted in a page, an address or a header never survives scrubbing."""

from __future__ import annotations

import html
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guichets import catalogue
from guichets.evidence.scrub import (
    EVERY_FAMILY,
    FAMILIES,
    SCRUBBED,
    scrub_headers,
    scrub_html,
    scrub_text,
    scrub_url,
)

TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=12, max_size=40)
NAMED = [(family, name) for family, rows in FAMILIES.items() for name in (*EVERY_FAMILY.names, *rows.names)]

PLACES_OF_A_NAME = {
    "query": "https://a.example/x?y=1&{name}={secret}&z=2",
    "cookie text": "document.cookie='{name}={secret}; path=/'",
    "hidden field": '<input type="hidden" name="{name}" value="{secret}">',
    "hidden field, value first": "<input value='{secret}' type='hidden' id='i' name='{name}'/>",
    "meta": '<meta name="{name}" content="{secret}">',
    "attribute": '<div {name}="{secret}">',
    "json": '{{"a": 1, "{name}": "{secret}", "b": 2}}',
    "json in an attribute": '<div data-x="{{&quot;{name}&quot;:&quot;{secret}&quot;}}">',
    "json in a string": 'x = "{{\\"{name}\\":\\"{secret}\\"}}"',
    "script": 'var {name} = "{secret}";',
}
PLACES_OF_A_SHAPE = [
    ("ezbooking", '<a href="/booking/create/12083/5/{secret}/1618214400">libre</a>'),
    ("ezbooking", '<a href="https://www.x.gouv.fr/index.php/booking/create/12083/5/a/{secret}">libre</a>'),
    ("ezbooking", "https://www.x.gouv.fr/booking/confirm/{secret}"),
    ("ezbooking", "Authorization: Bearer {secret}"),
    ("ezbooking", "/app/page.jsp;jsessionid={secret}?a=b"),
    ("ezbooking", "visid_incap_12_34={secret}; a=b"),
    ("rdv_prefecture", 'id="trhId_{secret}"'),
    ("rdv_prefecture", '<input type="radio" name="trhId" data-value="{secret}">'),
    ("rdv_service_public", '<a href="/users/rdv_wizard_step/new?motif_id=3&starts_at={secret}">09:30</a>'),
    ("eappointment", 'dwr.engine.remote.handleNewScriptSession("{secret}");'),
]


@settings(deadline=None)
@given(st.sampled_from(NAMED), st.sampled_from(sorted(PLACES_OF_A_NAME)), TOKEN)
def test_value_of_a_secret_name_never_survives(named: tuple[str, str], place: str, secret: str) -> None:
    family, name = named
    page = PLACES_OF_A_NAME[place].format(name=name, secret=secret)
    assert secret not in scrub_html(f"<p>avant</p>{page}<p>après</p>", family)


@settings(deadline=None)
@given(st.sampled_from(PLACES_OF_A_SHAPE), TOKEN)
def test_value_of_a_secret_shape_never_survives(place: tuple[str, str], secret: str) -> None:
    family, page = place
    assert secret not in scrub_text(page.format(secret=secret), family)


@settings(deadline=None)
@given(st.text("abcdefghijklmnopqrstuvwxyz0123456789$/+=&é ", min_size=12, max_size=30).map(str.strip))
def test_session_of_the_headers_is_found_anywhere_in_the_page(secret: str) -> None:
    if len(secret) < 12 or ";" in secret:
        return
    headers = ((b"Set-Cookie", b"eZSESSID=" + quote(secret).encode() + b"; path=/"),)
    page = f"<p>{html.escape(secret)}</p><a href='?k={quote(secret, safe='')}'>{quote(secret)}</a>"
    cleaned = scrub_html(page, "ezbooking", headers=headers)
    assert quote(secret) not in cleaned
    assert html.escape(secret) not in cleaned


def test_view_context_is_scrubbed_wherever_it_stands() -> None:
    context = "0123456789abcdef0123456789abcdef$7f0c7c1e-0000-4000-8000-000000000000"
    blob = f'<script id="vui-init-data">{{"vueData": {{"CTX": "{context}"}}}}</script>'
    page = f"{blob} {context} {quote(context)}"
    cleaned = scrub_html(page, "rdv_prefecture")
    assert "0123456789abcdef" not in cleaned
    assert "7f0c7c1e" not in cleaned


def test_headers_keep_cookie_names_and_lose_their_values() -> None:
    headers = (
        (b"Set-Cookie", b"eZSESSID=k3v9fj2mq8s7; path=/; HttpOnly"),
        (b"Cookie", b"eZSESSID=k3v9fj2mq8s7; xtvrn=$481980$"),
        (b"Authorization", b"Bearer abcdefgh12345678"),
        (
            b"Location",
            b"https://u:p4ssw0rd@a.gouv.fr/booking/create/1/5/x/1618214400?jsessionid=k3v9fj2mq8s7",
        ),
        (b"Content-Type", b"text/html; charset=utf-8"),
    )
    cleaned = dict(scrub_headers(headers, "ezbooking"))
    assert cleaned[b"Set-Cookie"] == b"eZSESSID=[scrubbed]; path=/; HttpOnly"
    assert cleaned[b"Cookie"] == b"eZSESSID=[scrubbed]; xtvrn=[scrubbed]"
    assert cleaned[b"Content-Type"] == b"text/html; charset=utf-8"
    joined = b" ".join(cleaned.values())
    for secret in (b"k3v9fj2mq8s7", b"abcdefgh12345678", b"p4ssw0rd", b"1618214400"):
        assert secret not in joined


def test_ordinary_page_is_left_as_it_is() -> None:
    page = (
        '<form id="FormBookingCreate" action="/booking/create/12083/1"><input type="radio" name="planning" '
        'value="14673" id="planning14673"><input name="nextButton" value="Etape suivante"></form>'
    )
    assert scrub_html(page, "ezbooking") == page
    assert scrub_url("https://www.x.gouv.fr/booking/create/12083/2", "ezbooking").endswith("/12083/2")


def test_scrubbing_twice_changes_nothing_more() -> None:
    once = scrub_html('<input name="CTX" value="abcdefgh"> trhId_55 Bearer abcdefgh123', "rdv_prefecture")
    assert scrub_html(once, "rdv_prefecture") == once
    assert SCRUBBED in once


def test_every_family_of_the_catalogue_has_rows() -> None:
    assert set(FAMILIES) == set(catalogue.FAMILIES)


def test_family_without_rows_is_not_exported() -> None:
    with pytest.raises(ValueError, match="family 'doctolib' has no scrubbing rows"):
        scrub_text("", "doctolib")
