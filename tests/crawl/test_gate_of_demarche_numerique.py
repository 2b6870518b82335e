"""What Démarche numérique must never be asked, tried through a crawl; and its robots.txt is obeyed."""

from __future__ import annotations

import pytest

from tests.crawl_fixtures import Workshop
from tests.trespass_fixtures import Trespass, Tries, get, post, try_each

FORBIDDEN = (
    *(get(name, f"{{form}}/{name}") for name in ("sign_up", "sign_in", "france_connect", "dossier_vide")),
    get("make-a-file", "{form}?champ_Q2hhbXAtMQ=x"),
    get("make-a-file-by-identity", "{form}?identite_nom=x"),
    get("somebody-s-file", "{form}?prefill_token=abc"),
    get("draft", "{form}?test=true"),
    get("log-in", "/users/sign_in"),
    get("log-in-as-redirect", "/users/sign_in", meta={"guichets_redirected": True}),
    get("closing-by-itself", "/fermeture/demande-de-rendez-vous-1"),
    get("home", "/"),
    post("file-by-api", "/api/public/v1/demarches/1/dossiers", '{"champ_1": "x"}', "application/json"),
    post("graphql", "/api/v2/graphql", '{"queryId": "ds-mutation-v2"}', "application/json"),
    post("page-posted", "{form}", "champ_1=x"),
    get("schema-with-query", "/preremplir/aes/schema?champ_1=x"),
    *(Trespass(f"method-{method}", method) for method in ("HEAD", "PUT")),
    Trespass("another-host", url="http://{other}{form}"),
)


@pytest.fixture(scope="module")
def tries(module_workshop: Workshop) -> Tries:
    return try_each(module_workshop, "demarche_numerique", FORBIDDEN, mixture="open", departements=6)


def test_no_forbidden_request_reaches_the_platform(tries: Tries) -> None:
    assert tries.received == []
    assert tries.box.tripwires() == []


def test_each_forbidden_request_ends_its_probe_as_our_fault(tries: Tries) -> None:
    assert {tries.desks[desk].name for desk in tries.result.desks} == {one.name for one in FORBIDDEN}
    assert tries.let_through == {}


def test_robots_txt_of_before_2026_is_obeyed(module_workshop: Workshop) -> None:
    box = module_workshop.sandbox(desks=2, departements=1, mixture="open", family="demarche_numerique")
    box.set_host(robots="User-agent: *\nDisallow: /commencer*\n")
    result = module_workshop.crawler(box.catalogue).run("demarche_numerique")
    assert {(line["outcome"], line["rule"]) for line in result.lines} == {("blocked", "robots")}
    assert {line["path"] for line in box.ledger()} == {"/robots.txt"}
