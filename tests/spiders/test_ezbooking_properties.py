"""For any bytes, headers, status and address: no exception, no zero and no offer without its landmarks.

The oracle below looks for landmarks in its own way, by plain substrings of the decoded body, so that a
mistake of the readers is not repeated here.
"""

from __future__ import annotations

import html
import re
import unicodedata

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from guichets.outcomes import Outcome
from guichets.page import Page, Reading
from spiders.ezbooking import read_page, read_week
from tests.spiders.page_table import PAGES, expected_pages

PROFILE = settings(
    derandomize=True,
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
FEWER = settings(PROFILE, max_examples=200)

BODIES = sorted({(PAGES / "ezbooking" / row.file).read_bytes() for row in expected_pages("ezbooking")})
TEXTS = [body.decode("utf-8", "replace") for body in BODIES]
FORM = "https://www.example.fr/booking/create/12083"

NONE_WORDS = (
    "il n'existe plus de plage horaire libre pour votre demande de rendez-vous. "
    "veuillez recommencer ultérieurement.",
    "please try later",
    "de rendez-vous disponibles pour le moment",
)
FORM_MARKS = ("formbookingcreate", "/booking/create/", 'name="create"', "name=create")
SLOT_MARK = re.compile(r"/booking/create/\d+/5/")
STEP3_MARKS = ("description de la nature du rendez-vous", "/3", "etape_3r.png")
STEP4_MARKS = ("choix d'une plage horaire", "planning_booking", "/4", "etape_4r.png")
CLOSED_WORDS = (
    "pas calendrier disponible",
    "pas de calendrier disponible",
    "cette page n'est pas disponible pour le moment",
    "ce lien a été désactivé définitivement",
    "nous n'avons pas d'autres dates disponibles",
)


def decodings(body: bytes) -> list[str]:
    """Every text a body may stand for, folded so that substrings can be looked for."""
    found = []
    for charset in ("utf-8", "cp1252", "iso8859-15", "utf-16", "utf-16-le", "utf-16-be"):
        text = body.decode(charset, "replace").replace("\x00", "")
        text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
        bare = re.sub(r"<[^>]*>", "", text)
        for variant in (text, bare):
            plain = unicodedata.normalize("NFC", html.unescape(variant)).replace("’", "'")
            found.append(" ".join(plain.split()).lower())
    return found


def stands(body: bytes, *marks: str) -> bool:
    """Whether one of the marks stands in the body, however it is written."""
    return any(mark in text for text in decodings(body) for mark in marks)


def check(page: Page) -> Reading:
    """Read a page and hold the reading against the oracle."""
    assert read_week(page).outcome is Outcome.UNRECOGNISED
    reading = read_page(page)
    outcome, body = reading.outcome, page.body
    if outcome in {Outcome.NONE, Outcome.OFFERED}:
        assert 200 <= page.status <= 299
        assert stands(body, *FORM_MARKS)
    if outcome is Outcome.NONE:
        assert stands(body, *NONE_WORDS)
        assert not reading.slots
    if outcome is Outcome.OFFERED:
        assert (stands(body, *STEP3_MARKS) and stands(body, "etape suivante")) or (
            stands(body, *STEP4_MARKS)
            and (
                any(SLOT_MARK.search(text) for text in decodings(body))
                or stands(body, "première plage horaire libre")
            )
        )
    if outcome is Outcome.CLOSED:
        assert stands(body, *CLOSED_WORDS)
    if reading.slots:
        assert outcome is Outcome.OFFERED
        assert any(SLOT_MARK.search(text) for text in decodings(body))
    if reading.may_advance:
        assert stands(body, "description de la nature du rendez-vous")
        assert stands(body, "etape suivante")
    assert reading.rule
    return reading


# What pages and their frames may be

statuses = st.one_of(st.just(200), st.integers(100, 599), st.integers(-1, 100_000))
error_statuses = st.one_of(st.integers(300, 599), st.integers(-1, 199), st.integers(600, 9999))
addresses = st.one_of(
    st.builds("{}/{}".format, st.just(FORM), st.integers(0, 9)),
    st.text(max_size=60),
    st.sampled_from(["", "//[", "http://[::1", FORM + "/٢", "http://x:y/booking/create/1/2"]),
)
charsets = st.sampled_from(
    [
        *("utf-8", "UTF8", "iso-8859-1", "latin1", "windows-1252", "utf-16", "utf-16-le", "utf-7", "cp500"),
        *("punycode", "idna", "rot13", "hex", "undefined", "unicode_escape", "zlib", "nonsense", "", "é"),
    ]
)
content_types = st.one_of(
    st.builds("text/html; charset={}".format, charsets),
    st.builds('text/html;charset="{}'.format, charsets),
    st.sampled_from(["text/html", "TEXT/HTML, text/html", "application/xhtml+xml", "image/png", ";", ","]),
    st.text(max_size=40),
)
lengths = st.one_of(st.integers(-5, 100_000).map(str), st.text(max_size=10))
headers = st.one_of(
    st.just({}),
    st.just({"content-type": "text/html; charset=utf-8"}),
    st.fixed_dictionaries(
        {},
        optional={
            "content-type": content_types,
            "content-length": lengths,
            "transfer-encoding": st.one_of(st.just("chunked"), st.text(max_size=10)),
            "content-encoding": st.sampled_from(["gzip", "br", "nonsense"]),
        },
    ),
    st.dictionaries(st.text(max_size=12), st.text(max_size=20), max_size=3),
)

LANDMARK = re.compile(
    r"<h2>.*?</h2>|<form[^>]*>|</form>|<input[^>]*>|<a [^>]*>|<table>|</table>|<ul.*?</ul>|<p>.*?</p>"
    r"|<div id=[^>]*>|</div>|<footer>|</footer>|</html>|<!DOCTYPE html>|<img[^>]*>",
    re.DOTALL,
)
FRAGMENTS = sorted({found for text in TEXTS for found in LANDMARK.findall(text)} | set("<>\"'&;/ \x00"))

shuffled_pages = st.lists(st.sampled_from(FRAGMENTS), max_size=25).map("\n".join)
glued_pages = st.tuples(
    st.sampled_from(TEXTS), st.integers(0, 4000), st.sampled_from(TEXTS), st.integers(0, 4000)
).map(lambda parts: parts[0][: parts[1]] + parts[2][parts[3] :])


@st.composite
def pages_without_landmarks(draw: st.DrawFn) -> str:
    """A page from which some pieces are gone, or repeated."""
    text = draw(st.sampled_from(TEXTS))
    pieces = LANDMARK.findall(text)
    for piece in draw(st.lists(st.sampled_from(pieces), max_size=6)) if pieces else []:
        text = text.replace(piece, draw(st.sampled_from(["", piece * 2, piece[: len(piece) // 2]])), 1)
    return text


mutated_texts = st.one_of(shuffled_pages, glued_pages, pages_without_landmarks())
encodings = st.sampled_from(["utf-8", "utf-8", "utf-8", "cp1252", "utf-16", "utf-16-be", "cp500", "utf-7"])
mutated_bodies = st.builds(lambda text, charset: text.encode(charset, "replace"), mutated_texts, encodings)


@st.composite
def spoiled_bodies(draw: st.DrawFn) -> bytes:
    """A page with a few bytes of noise."""
    body = bytearray(draw(st.sampled_from(BODIES)))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(body)))
        body[place : place + draw(st.integers(0, 5))] = draw(st.binary(max_size=5))
    return bytes(body)


@PROFILE
@given(addresses, statuses, headers, st.binary(max_size=600))
def test_any_bytes_are_read_without_raising_and_prove_nothing(
    url: str, status: int, head: dict[str, str], body: bytes
) -> None:
    reading = check(Page(url, status, head, body))
    assert reading.outcome not in {Outcome.NONE, Outcome.OFFERED}


@FEWER
@given(addresses, statuses, headers, st.text(max_size=400))
def test_any_text_is_read_without_raising_and_proves_nothing(
    url: str, status: int, head: dict[str, str], text: str
) -> None:
    reading = check(Page(url, status, head, f"<html>{text}</html>".encode("utf-8", "replace")))
    assert reading.outcome not in {Outcome.NONE, Outcome.OFFERED}


@PROFILE
@given(addresses, statuses, headers, mutated_bodies)
def test_pieces_of_pages_say_nothing_without_their_landmarks(
    url: str, status: int, head: dict[str, str], body: bytes
) -> None:
    check(Page(url, status, head, body))


@FEWER
@given(st.integers(0, 4), mutated_texts)
def test_pieces_of_pages_in_a_sound_frame_say_nothing_without_their_landmarks(step: int, text: str) -> None:
    check(Page(f"{FORM}/{step}", 200, {"content-type": "text/html; charset=utf-8"}, text.encode()))


@FEWER
@given(addresses, statuses, headers, spoiled_bodies())
def test_noise_in_a_page_makes_up_nothing(url: str, status: int, head: dict[str, str], body: bytes) -> None:
    check(Page(url, status, head, body))


@FEWER
@given(addresses, error_statuses, headers, st.one_of(st.sampled_from(BODIES), mutated_bodies))
def test_error_status_is_never_a_zero_nor_an_offer(
    url: str, status: int, head: dict[str, str], body: bytes
) -> None:
    assert check(Page(url, status, head, body)).outcome not in {Outcome.NONE, Outcome.OFFERED, None}


@PROFILE
@given(addresses, headers, st.sampled_from(BODIES), st.floats(0, 1), st.sampled_from(["utf-8", "cp1252"]))
@example(f"{FORM}/2", {"transfer-encoding": "chunked"}, BODIES[0], 0.5, "utf-8")
def test_page_cut_anywhere_is_neither_a_zero_nor_an_offer_nor_closed(
    url: str, head: dict[str, str], body: bytes, share: float, charset: str
) -> None:
    whole = body.decode("utf-8", "replace").encode(charset, "replace")
    end = whole.find(b"</html")
    end = len(whole) if end < 0 else end
    cut = whole[: int(share * end)]
    cut = cut if b"<html" in cut else b"<html>" + cut
    reading = check(Page(url, 200, head, cut))
    assert reading.outcome not in {Outcome.NONE, Outcome.OFFERED, Outcome.CLOSED, None}


def test_every_cut_of_the_pages_that_prove_something_proves_nothing() -> None:
    files = ("none-step2.html", "offered-step3.html", "offered-step4.html", "closed-link-retired.html")
    for file in files:
        body = (PAGES / "ezbooking" / file).read_bytes()
        for end in range(0, body.index(b"</html"), 7):
            outcome = read_page(Page(f"{FORM}/2", 200, {"transfer-encoding": "chunked"}, body[:end])).outcome
            assert outcome in {Outcome.UNREACHABLE, Outcome.UNRECOGNISED}
            if b"<html" in body[:end]:
                assert outcome is Outcome.UNREACHABLE


@FEWER
@given(st.sampled_from(BODIES), st.sampled_from(NONE_WORDS))
def test_page_whose_no_slot_words_are_gone_is_no_zero(body: bytes, words: str) -> None:
    text = unicodedata.normalize("NFC", html.unescape(body.decode("utf-8", "replace"))).replace("’", "'")
    for sentence in NONE_WORDS:
        head, _, tail = sentence.partition(" ")
        text = re.sub(re.escape(head) + r"\s+" + re.escape(tail[:12]), "", text, flags=re.IGNORECASE)
    text = text.replace("Please try", "").replace("disponibles pour", "")
    assert read_page(Page(f"{FORM}/2", 200, {}, text.encode())).outcome is not Outcome.NONE


@PROFILE
@given(st.sampled_from(BODIES), headers, statuses, addresses)
def test_reading_is_the_same_twice(body: bytes, head: dict[str, str], status: int, url: str) -> None:
    assert read_page(Page(url, status, head, body)) == read_page(Page(url, status, head, body))
