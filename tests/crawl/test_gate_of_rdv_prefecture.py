"""What RDV-Préfecture must never be asked, tried through a real crawl."""

from __future__ import annotations

import pytest

from tests.crawl_fixtures import Workshop
from tests.trespass_fixtures import Trespass, Tries, get, post, try_each

FORBIDDEN = (
    # actions and steps beyond the conditions
    post("check-captcha", "{form}_validerCaptcha", "captchaId=1&captchaUsercode=BACSABLE"),
    get("check-captcha-by-get", "{form}_validerCaptcha"),
    post("take-a-slot", "{form}_choisirBloc", "trhId=1001"),
    get("take-a-slot-by-get", "{form}_choisirBloc?trhId=1001"),
    post("next-week", "{form}_semaineSuivante", "CTX=1"),
    get("identity-form", "{form}formulaire/"),
    post("identity-form-posted", "{form}formulaire/", "nom=x&email=x"),
    get("account", "/rdvpref/login/"),
    get("managing", "{form}gerer/"),
    # the captcha's own server, under any name
    get("captcha-image", "/piste/captchetat/v2/simple-captcha-endpoint?get=image&c=captchaFR"),
    Trespass("captcha-elsewhere", url="http://{other}/piste/captcha/simple-captcha-endpoint?get=image"),
    # pages that only the site may lead to, or never should
    get("session-error", "{form}cgu/?error=errorSessionInvalide"),
    get("wrong-code", "{form}cgu/?error=invalidCaptcha"),
    get("wrong-code-as-redirect", "{form}cgu/?error=invalidCaptcha", meta={"guichets_redirected": True}),
    get("query-on-slots", "{form}creneau/?semaine=2"),
    # bodies and methods
    post("conditions-posted", "{form}cgu/", "captchaUsercode=BACSABLE"),
    post("landing-posted", "{form}", ""),
    post("slots-posted", "{form}creneau/", "trhId=1001"),
    get("get-with-body", "{form}cgu/", body="captchaUsercode=BACSABLE"),
    *(Trespass(f"method-{method}", method) for method in ("HEAD", "PUT", "OPTIONS")),
    # addresses that are nearly right
    get("encoded-action", "{form}%5fvaliderCaptcha"),
    get("dots", "{form}cgu/../_choisirBloc"),
    get("session-in-path", "{form}cgu/;jsessionid=1"),
    get("assets", "/rdvpref/vertigo-ui/static/js/vertigo-ui.umd.js"),
    get("home", "/"),
    Trespass("another-host", url="http://{other}{form}"),
    Trespass("user-in-address", url="http://prefecture@{host}{form}"),
)


@pytest.fixture(scope="module")
def tries(module_workshop: Workshop) -> Tries:
    return try_each(module_workshop, "rdv_prefecture", FORBIDDEN, mixture="captcha-era-2")


def test_no_forbidden_request_reaches_the_platform(tries: Tries) -> None:
    assert tries.received == []
    assert tries.box.tripwires() == []


def test_each_forbidden_request_ends_its_probe_as_our_fault(tries: Tries) -> None:
    assert {tries.desks[desk].name for desk in tries.result.desks} == {one.name for one in FORBIDDEN}
    assert tries.let_through == {}
    assert tries.stats["guichets/gate_refused"] == len(FORBIDDEN)
