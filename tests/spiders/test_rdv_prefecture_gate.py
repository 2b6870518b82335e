"""What may be asked of RDV-Préfecture, and nothing else."""

from __future__ import annotations

import pytest

from guichets.gate import Ask
from spiders.rdv_prefecture import GATE, RdvPrefectureSpider

HOST = "www.rdv-prefecture.interieur.gouv.fr"
BASE = f"https://{HOST}/rdvpref/reservation/demarche/3771"


@pytest.mark.parametrize("path", ["", "/", "/cgu", "/cgu/", "/creneau", "/creneau/"])
def test_pages_before_the_captcha_may_be_asked(path: str) -> None:
    assert GATE.refusal(Ask("GET", BASE + path, host=HOST)) is None


def test_session_error_is_only_followed() -> None:
    url = f"{BASE}/cgu/?error=errorSessionInvalide"
    assert GATE.refusal(Ask("GET", url, host=HOST)) == "not-allowed"
    assert GATE.refusal(Ask("GET", url, host=HOST, redirected=True)) is None


@pytest.mark.parametrize("redirected", [False, True])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", f"/{name}") for name in ("_validerCaptcha", "_choisirBloc", "_x", "formulaire/", "login/")),
        *(("POST", path) for path in ("", "/", "/cgu/", "/creneau/", "/_validerCaptcha", "/_choisirBloc")),
        *(("GET", f"/cgu/?{query}") for query in ("error=invalidCaptcha", "error=", "x=1")),
        ("GET", "/cgu/?error=errorSessionInvalide&x=1"),
        ("GET", "/cgu/_validerCaptcha"),
        ("GET", "/creneau/formulaire/"),
        ("GET", "//_choisirBloc"),
        ("HEAD", "/"),
    ],
)
def test_all_else_is_refused(method: str, path: str, redirected: bool) -> None:
    assert GATE.refusal(Ask(method, BASE + path, host=HOST, redirected=redirected)) == "not-allowed"


@pytest.mark.parametrize(
    "url",
    [
        "https://api.piste.gouv.fr/piste/captchetat/v2/simple-captcha-endpoint?get=image",
        "https://www.rdv-prefecture.interieur.gouv.fr.example.org/rdvpref/reservation/demarche/1/",
        "https://interieur.gouv.fr/rdvpref/reservation/demarche/1/",
    ],
)
def test_other_hosts_are_refused(url: str) -> None:
    assert GATE.refusal(Ask("GET", url, host=HOST)) == "off-host"


def test_no_row_has_a_body() -> None:
    assert {(row.method, row.fields, row.body) for row in RdvPrefectureSpider.gate.rows} == {
        ("GET", None, None)
    }
