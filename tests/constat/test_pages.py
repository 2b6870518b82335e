"""What a constat shows of a page: the sentence that decided, no secret, no slot that may still be free."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from guichets.cli._families import load_families
from guichets.constat.pages import is_coming
from guichets.constat.sentences import Sentences
from guichets.constat.tables import _harmless
from guichets.constat.wacz import surt
from guichets.constat.wording import printable, when
from guichets.outcomes import Outcome
from guichets.page import Page
from tests.constat.conftest import Made, World, run_constat
from tests.constat.opened import check_index
from tests.constat.quarter import FIRST

pytestmark = [pytest.mark.xdist_group("constat"), pytest.mark.timeout(400)]

PAGES = Path(__file__).parent.parent / "pages"
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def sentence_of(family: str, name: str) -> str | None:
    page = Page(
        url="https://a.example/booking/create/12083/2",
        status=200,
        headers={"content-type": "text/html"},
        body=(PAGES / family / name).read_bytes(),
    )
    return Sentences(load_families()[family].read).of(page)


NONE = (
    "Il n'existe plus de plage horaire libre pour votre demande de rendez-vous. "
    "Veuillez recommencer ultérieurement."
)
ENGLISH = "There is no free time slot left for your request. Please try later."
NO_SLOT = "Malheureusement, aucun créneau correspondant à votre recherche n'a été trouvé."


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        ("ezbooking/none-step2", NONE),
        ("ezbooking/none-step2-english", ENGLISH),
        ("ezbooking/closed-switched-off", "Attention : Cette page n'est pas disponible pour le moment !"),
        ("ezbooking/overloaded-service-surcharge", "Service surchargé"),
        ("ezbooking/offered-step4", "[titre] Choix d'une plage horaire"),
        ("ezbooking/blank", None),
        ("rdv_prefecture/none-heading", "Aucun créneau disponible"),
        ("rdv_prefecture/none-blob", "[titre] Choisissez votre créneau — Aucun créneau disponible"),
        ("rdv_prefecture/captcha-era-1", "[titre] Constituez votre dossier — Pièces à apporter"),
        ("rdv_service_public/none", NO_SLOT),
        ("lutece/closed-inactive", "Le formulaire n'est pas actif"),
    ],
)
def test_the_sentence_is_the_one_without_which_the_page_reads_otherwise(
    page: str, sentence: str | None
) -> None:
    family, _, name = page.partition("/")
    assert sentence_of(family, f"{name}.html") == sentence


def test_a_page_cut_short_does_not_lend_its_sentence_to_a_whole_one() -> None:
    """Both show the same words; only one of them says anything."""
    read = load_families()["ezbooking"].read
    sentences = Sentences(read)
    for name in ("cut-none-step2.html", "none-step2.html"):
        page = Page(
            url="https://a.example/booking/create/1/2",
            status=200,
            body=(PAGES / "ezbooking" / name).read_bytes(),
        )
        said = sentences.of(page)
        is_whole = read(page).outcome is Outcome.NONE
        assert (said or "").startswith("Il n'existe plus") == is_whole


def test_control_characters_on_a_page_stop_no_search_for_its_sentence() -> None:
    """A parser reads them, and refuses to write them back."""
    body = (PAGES / "ezbooking/none-step2.html").read_bytes()
    page = Page(
        url="https://a.example/booking/create/1/2",
        status=200,
        headers={"content-type": "text/html"},
        body=body.replace(b"</body>", b"<p>Avec \x1e un signe</p><p>\x0b autre signe</p></body>"),
    )
    assert page.body != body
    assert Sentences(load_families()["ezbooking"].read).of(page) == NONE


def test_a_slot_is_coming_until_it_has_begun_everywhere() -> None:
    assert is_coming(NOW, NOW)
    assert not is_coming(NOW - timedelta(seconds=1), NOW)
    assert is_coming(date(2026, 5, 1), NOW)
    assert not is_coming(date(2026, 4, 30), NOW)


def test_letters_the_document_cannot_show_become_squares_and_others_stay() -> None:
    assert printable("Préfecture « d’Évreux » – œuvre, 12 €…") == "Préfecture « d’Évreux » – œuvre, 12 €…"
    assert printable("约会 \x07\u202eخ") == "□□ □□□"


def test_the_hour_that_comes_twice_bears_its_offset() -> None:
    first, second = (datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1))
    assert when(first) == "dimanche 25 octobre 2026 à 02:30:00 (UTC+2)"
    assert when(second) == "dimanche 25 octobre 2026 à 02:30:00 (UTC+1)"
    assert when(datetime(2026, 10, 25, 2, 30, tzinfo=UTC)) == "dimanche 25 octobre 2026 à 03:30:00"


@pytest.mark.parametrize("cell", ["=1+1", "+33", "-1", "@a", "\tx"])
def test_no_sentence_of_a_site_is_a_formula_of_a_spreadsheet(cell: str) -> None:
    assert _harmless(cell) == f"'{cell}"


def test_pages_with_slots_to_come_are_kept_back_and_the_rest_is_proved(
    offering: World, tmp_path: Path
) -> None:
    """The clock of the command is set to a day on which the offered slots are still to come."""
    offer = offering.quarter.of("offered")[0]
    day = offer.at.date()
    then = offer.at + timedelta(days=2.5)
    out = tmp_path / "constat"
    environment = offering.environment() | {
        "GUICHETS_PUBLICATION_DELAY": "24",
        "GUICHETS_BROWSER": "/nowhere",
    }
    made = run_constat(out, offering.quarter.desk, day, day, environment=environment, then=then)
    assert made.status == 0, made.stderr
    assert "elles montrent des créneaux qui peuvent être encore libres" in made.stderr
    text = made.pdf_text()
    assert "premières dates : à venir, non montrée ; à venir, non montrée" in text
    observation = next(one for one in offering.quarter.observations if one.id == offer.id)
    assert isinstance(observation.first_slot, datetime)
    unix = str(int(observation.first_slot.timestamp())).encode()
    shown = observation.first_slot.isoformat().encode()
    assert not [name for name, data in made.everything() if unix in data or shown in data]
    withheld = (out / "preuves/lignes.jsonl").read_text(encoding="utf-8")
    assert "créneaux qui peuvent être encore libres" in withheld


def test_the_wacz_is_valid_and_indexed_as_by_the_standard_indexer(short: Made, tmp_path: Path) -> None:
    told, pages = check_index(short, tmp_path)
    assert all("status" in entry for _, entry in told)
    assert pages[0]["format"] == "json-pages-1.0"
    assert {page["url"] for page in pages[1:]} <= {entry["url"] for _, entry in told}


def test_the_wacz_is_signed_when_a_key_is_set(world: World, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    place = tmp_path / "key.pem"
    place.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    made = world.constat(
        tmp_path / "constat", FIRST, FIRST, GUICHETS_SIGNING_KEY=str(place), GUICHETS_BROWSER="/nowhere"
    )
    assert made.status == 0, made.stderr
    with zipfile.ZipFile(made.out / "archive.wacz") as package:
        described = package.read("datapackage.json")
        digest = json.loads(package.read("datapackage-digest.json"))
    assert digest["hash"] == f"sha256:{hashlib.sha256(described).hexdigest()}"
    signed = digest["signedData"]
    public = serialization.load_der_public_key(base64.b64decode(signed["publicKey"]))
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert public == key.public_key()
    raw = base64.b64decode(signed["signature"])
    assert len(raw) == 96  # r and s, as browsers have them
    signature = encode_dss_signature(int.from_bytes(raw[:48]), int.from_bytes(raw[48:]))
    public.verify(signature, digest["hash"].encode(), ec.ECDSA(hashes.SHA256()))
    with pytest.raises(InvalidSignature):
        public.verify(signature, b"sha256:other", ec.ECDSA(hashes.SHA256()))


def test_a_key_that_is_none_is_said(world: World, tmp_path: Path) -> None:
    place = tmp_path / "key.pem"
    place.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    for named, told in ((str(place), "not a key of the curve P-384"), ("/nowhere", "cannot be read")):
        made = world.constat(tmp_path / "constat", FIRST, FIRST, GUICHETS_SIGNING_KEY=named)
        assert made.status == 2
        assert told in made.stderr
        assert made.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://www.a-b.gouv.fr/booking/create/12083/2", "fr,gouv,a-b)/booking/create/12083/2"),
        ("http://127.0.0.20:8001/booking/create/1", "20,0,0,127:8001)/booking/create/1"),
        ("https://a.example/?b=2&a=1", "example,a)/?a=1&b=2"),
    ],
)  # fmt: skip
def test_addresses_sort_as_indexes_want(url: str, key: str) -> None:
    assert surt(url) == key
