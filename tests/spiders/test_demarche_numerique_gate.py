"""What may be asked of Démarche numérique, and nothing else."""

from __future__ import annotations

import pytest

from guichets.gate import Ask
from spiders.demarche_numerique import GATE

HOST = "demarche.numerique.gouv.fr"
SITE = f"https://{HOST}"


@pytest.mark.parametrize("path", ["/commencer/rendez-vous-aes", "/commencer/a_B-9", "/preremplir/aes/schema"])
def test_page_and_descriptor_may_be_asked(path: str) -> None:
    assert GATE.refusal(Ask("GET", SITE + path, host=HOST)) is None


@pytest.mark.parametrize("path", ["/", "/fermeture/rendez-vous-aes"])
def test_what_the_platform_leads_to_is_only_followed(path: str) -> None:
    assert GATE.refusal(Ask("GET", SITE + path, host=HOST)) == "not-allowed"
    assert GATE.refusal(Ask("GET", SITE + path, host=HOST, redirected=True)) is None


@pytest.mark.parametrize("redirected", [False, True])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(
            ("GET", f"/commencer/aes/{name}")
            for name in ("sign_up", "sign_in", "france_connect", "dossier_vide")
        ),
        *(
            ("GET", f"/commencer/aes?{query}")
            for query in ("champ_1=x", "identite_nom=x", "prefill_token=x", "test=1")
        ),
        ("GET", "/commencer/test/aes"),
        ("GET", "/commencer/"),
        ("GET", "/commencer/aes/"),
        ("GET", "/users/sign_in"),
        ("GET", "/preremplir/aes"),
        ("GET", "/preremplir/aes/schema?champ_1=x"),
        ("POST", "/commencer/aes"),
        ("POST", "/api/v2/graphql"),
        ("POST", "/api/public/v1/demarches/1/dossiers"),
        ("HEAD", "/commencer/aes"),
    ],
)
def test_all_else_is_refused(method: str, path: str, redirected: bool) -> None:
    assert GATE.refusal(Ask(method, SITE + path, host=HOST, redirected=redirected)) == "not-allowed"


def test_the_other_host_is_another_host() -> None:
    url = "https://www.demarches-simplifiees.fr/commencer/aes"
    assert GATE.refusal(Ask("GET", url, host=HOST, redirected=True)) == "off-host"
