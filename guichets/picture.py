"""The picture of an archived page: rendered by Chromium from the archive alone, under a caption.

The network is cut twice: every request is answered here or refused, and what would slip past that (a browser
connects ahead of need) leads to a port where nobody listens. Scripts do not run.
"""

from __future__ import annotations

import base64
import html
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from playwright.sync_api import Browser, Error, Request, Route, sync_playwright

from guichets.browser import CUT_OFF, LONGEST, WIDTH, wants_sandbox
from guichets.errors import GuichetsError

PATIENCE_MS = 30_000

_CAPTION = """<!DOCTYPE html><html lang="fr"><meta charset="utf-8"><style>
body {{ margin: 0; font: 15px/1.45 "DejaVu Sans", "Liberation Sans", Arial, sans-serif; color: #111 }}
body {{ background: #fff }}
header {{ padding: 14px 18px; border-bottom: 4px solid #1b3a6b; background: #f2f4f8 }}
header {{ overflow-wrap: anywhere }}
h1 {{ margin: 0 0 8px; font-size: 18px }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px; margin: 0 }}
dt {{ color: #555 }} dd {{ margin: 0 }}
dd.hash {{ font: 13px/1.6 "DejaVu Sans Mono", "Liberation Mono", monospace }}
p {{ margin: 8px 0 0; padding: 6px 10px; border-left: 4px solid #b35900; background: #fff5e8 }}
img {{ display: block; width: {width}px }}
</style><body><header><h1>{title}</h1><dl>{rows}</dl>{warnings}</header><img src="{image}"></body></html>"""


Result = TypeVar("Result")


class PictureFailed(GuichetsError):
    """Chromium could not be started, or could not draw the page."""


@dataclass(frozen=True, slots=True)
class Part:
    """Something the page refers to that is archived too: a style sheet, an image."""

    body: bytes
    content_type: str


@dataclass
class Missing:
    """What the page asked for and the archive does not hold."""

    styles: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def draw(
    page: Part,
    url: str,
    *,
    title: str,
    rows: Sequence[tuple[str, str]],
    parts: Mapping[str, Part],
    browser: Path,
) -> tuple[bytes, Missing]:
    """The picture as PNG, and what was missing; ``rows`` are the caption's. Raises PictureFailed."""

    def work(chromium: Browser) -> tuple[bytes, Missing]:
        image, missing = _shoot(chromium, page, url, parts)
        return _shoot_captioned(chromium, image, title, rows, _warnings(missing, image)), missing

    return _with_browser(browser, work)


def draw_captioned(image: bytes, *, title: str, rows: Sequence[tuple[str, str]], browser: Path) -> bytes:
    """A screenshot taken during the visit, as it is, under the same caption. Raises PictureFailed."""
    return _with_browser(
        browser, lambda chromium: _shoot_captioned(chromium, image, title, rows, _warnings(Missing(), image))
    )


def _with_browser(browser: Path, work: Callable[[Browser], Result]) -> Result:
    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(
                executable_path=browser, chromium_sandbox=wants_sandbox(), args=list(CUT_OFF)
            )
            try:
                return work(chromium)
            finally:
                chromium.close()
    except Error as error:
        raise PictureFailed(f"{browser}: {error.message.strip().splitlines()[0]}") from None


def _shoot(chromium: Browser, page: Part, url: str, parts: Mapping[str, Part]) -> tuple[bytes, Missing]:
    missing = Missing()
    is_shown = False

    def answer(route: Route, request: Request) -> None:
        nonlocal is_shown
        if not is_shown and request.is_navigation_request():
            is_shown = True
            route.fulfill(status=200, body=page.body, content_type=page.content_type)
        elif request.url in parts:
            part = parts[request.url]
            route.fulfill(status=200, body=part.body, content_type=part.content_type)
        elif request.is_navigation_request():
            route.fulfill(status=204)  # a page that sends its reader elsewhere: stay on it
        else:
            kind = missing.styles if request.resource_type == "stylesheet" else missing.others
            kind.append(request.url)
            route.abort()

    context = chromium.new_context(
        viewport={"width": WIDTH, "height": 768},
        java_script_enabled=False,
        service_workers="block",
        accept_downloads=False,
        locale="fr-FR",
        timezone_id="Europe/Paris",
    )
    tab = context.new_page()
    tab.route("**/*", answer)
    tab.goto(url, wait_until="load", timeout=PATIENCE_MS)
    return _screenshot(tab), missing


def _shoot_captioned(
    chromium: Browser, image: bytes, title: str, rows: Sequence[tuple[str, str]], warnings: Sequence[str]
) -> bytes:
    context = chromium.new_context(viewport={"width": WIDTH, "height": 768}, java_script_enabled=False)
    tab = context.new_page()
    tab.route("**/*", lambda route: route.abort())
    tab.set_content(
        _CAPTION.format(
            width=WIDTH,
            title=html.escape(title),
            rows="".join(_row(word, value) for word, value in rows),
            warnings="".join(f"<p>{html.escape(warning)}</p>" for warning in warnings),
            image="data:image/png;base64," + base64.b64encode(image).decode("ascii"),
        ),
        wait_until="load",
        timeout=PATIENCE_MS,
    )
    return _screenshot(tab, LONGEST + 2000)


def _row(word: str, value: str) -> str:
    kind = ' class="hash"' if word == "SHA-256" else ""
    return f"<dt>{html.escape(word)}</dt><dd{kind}>{html.escape(value)}</dd>"


def _screenshot(tab: object, longest: int = LONGEST) -> bytes:
    from playwright.sync_api import Page

    assert isinstance(tab, Page)
    return tab.screenshot(
        full_page=True,
        clip={"x": 0, "y": 0, "width": WIDTH, "height": longest},
        animations="disabled",
        timeout=PATIENCE_MS,
    )


def _warnings(missing: Missing, image: bytes) -> list[str]:
    said = []
    if missing.styles:
        count = len(set(missing.styles))
        sheets = "Une feuille de style n'a" if count == 1 else f"{count} feuilles de style n'ont"
        said.append(
            f"{sheets} pas été archivée{'s' if count > 1 else ''} : la mise en page diffère de celle "
            "que voyait le public ; le texte est celui de la page."
        )
    if missing.others:
        count = len(set(missing.others))
        said.append(
            "Une image ou un autre élément n'a pas été archivé."
            if count == 1
            else f"{count} images ou autres éléments n'ont pas été archivés."
        )
    if height_of(image) >= LONGEST:
        said.append(f"La page est plus longue : seuls ses {LONGEST} premiers pixels sont montrés.")
    return said


def height_of(png: bytes) -> int:
    """Pixels, from the file's own header."""
    return int(struct.unpack(">I", png[20:24])[0])
