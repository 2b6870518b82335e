"""The site in a real Chromium: accessible, with a keyboard alone, from narrow to wide, on paper."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from guichets.browser import CUT_OFF, find_browser, wants_sandbox
from tests.site.conftest import World

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
WIDTHS = (320, 768, 1600)
KINDS = (
    "index.html",
    "tableau/availability.html",
    "trimestres/2017-Q2.html",
    "departements/92.html",
    "methode.html",
    "ethique.html",
    "donnees.html",
    "errata.html",
    "reponses.html",
)
Scheme = Literal["light", "dark"]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_browser(), chromium_sandbox=wants_sandbox(), args=list(CUT_OFF)
        )
        yield browser
        browser.close()


def opened(chromium: Browser, world: World, path: str, scheme: Scheme = "light", **options: Any) -> Page:
    page = chromium.new_page(color_scheme=scheme, viewport={"width": 1280, "height": 900}, **options)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((world.folder / path).as_uri())
    assert [url for url in asked if not url.startswith("file://")] == []
    return page


def violations(page: Page) -> list[str]:
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]


@pytest.mark.parametrize("path", KINDS)
def test_axe_finds_nothing_and_no_width_overflows(chromium: Browser, world: World, path: str) -> None:
    page = opened(chromium, world, path)
    assert violations(page) == []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width
    page.close()


def test_axe_finds_nothing_where_a_desk_has_figures_in_english_and_in_the_dark(
    chromium: Browser, world: World
) -> None:
    (code,) = world.places_of("late")
    for path in (f"en/departements/{code}.html", "trimestres/2017-Q2.html"):
        page = opened(chromium, world, path, "dark")
        assert violations(page) == [], path
        page.close()


def test_a_keyboard_alone_reaches_everything(chromium: Browser, world: World) -> None:
    page = opened(chromium, world, "departements/92.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert (
        page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    )  # seen once it has the focus
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "contenu"
    expected = page.evaluate(
        """[...document.querySelectorAll('a[href]:not([tabindex="-1"]), summary, [tabindex="0"]')].filter(
            one => one.checkVisibility()).length"""
    )
    page.close()
    page = opened(chromium, world, "departements/92.html")  # its address without « #contenu »
    reached = set()
    for _ in range(expected + 5):
        page.keyboard.press("Tab")
        mark = page.evaluate(
            """() => { const one = document.activeElement; if (one === document.body) return null;
            const style = getComputedStyle(one);
            return [[...document.querySelectorAll('*')].indexOf(one),
                style.outlineStyle !== 'none' || one.closest('svg') !== null] }"""
        )
        if mark is None:
            break
        assert mark[1], "the focus cannot be seen"
        reached.add(mark[0])
    assert len(reached) == expected
    summary = page.locator("summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('details').open")
    page.close()


def test_paper_shows_the_summary_without_the_navigation(chromium: Browser, world: World) -> None:
    page = opened(chromium, world, "trimestres/2017-Q2.html", "dark")
    page.emulate_media(media="print")
    assert not page.locator("header nav").is_visible()
    assert page.locator("#worse").is_visible()
    assert page.locator("#alternatives details td").first.is_visible()  # lists are not folded on paper
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.close()


def test_all_of_it_works_without_javascript(chromium: Browser, world: World) -> None:
    page = opened(chromium, world, "index.html", java_script_enabled=False)
    page.get_by_role("link", name="Couverture").click()
    assert page.url.endswith("tableau/coverage.html")
    page.locator("tbody a").first.click()
    assert "/departements/" in page.url
    page.get_by_role("link", name="English").click()
    assert "/en/departements/" in page.url
    page.close()
