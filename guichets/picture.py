"""The picture of an archived page: rendered by Chromium from the archive alone, under a caption.

The network is cut twice: every request is answered here or refused, and what would slip past that (a browser
connects ahead of need) leads to a port where nobody listens. Scripts do not run.
"""

from __future__ import annotations

import base64
import html
import struct
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from playwright.sync_api import Browser, Error, Request, Route, sync_playwright

from guichets.browser import CUT_OFF, LONGEST, WIDTH, wants_sandbox
from guichets.errors import GuichetsError
from guichets.shown import Part

HEIGHT = 768  # of the window; a shorter page is drawn on so much white
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


class PictureFailed(GuichetsError):
    """Chromium could not be started, or could not draw the page."""


@dataclass
class Missing:
    """What the page asked for and the archive does not hold."""

    styles: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


class Drawing:
    """One Chromium for as many pictures as are wanted: starting it takes longer than drawing a page.

    Raises PictureFailed when it cannot be started.
    """

    def __init__(self, browser: Path) -> None:
        self._path = browser

    def __enter__(self) -> Drawing:
        self._playwright = sync_playwright().start()
        try:
            self._chromium = self._playwright.chromium.launch(
                executable_path=self._path, chromium_sandbox=wants_sandbox(), args=list(CUT_OFF)
            )
        except Error as error:
            self._playwright.stop()
            raise self._failed(error) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._chromium.close()
        except Error:
            pass  # it died; what it drew was handed over already
        finally:
            self._playwright.stop()

    def shoot(
        self, page: Part, url: str, parts: Mapping[str, Part], *, height: int = HEIGHT
    ) -> tuple[bytes, Missing]:
        """The page alone as PNG, ``height`` pixels high at least; what was missing. Raises PictureFailed."""
        try:
            return _shoot(self._chromium, page, url, parts, height)
        except Error as error:
            raise self._failed(error) from None

    def caption(self, image: bytes, title: str, rows: Sequence[tuple[str, str]], missing: Missing) -> bytes:
        """The picture of a page under its caption, of which ``rows`` are part. Raises PictureFailed."""
        try:
            return _shoot_captioned(self._chromium, image, title, rows, warnings_of(missing, image))
        except Error as error:
            raise self._failed(error) from None

    def _failed(self, error: Error) -> PictureFailed:
        return PictureFailed(f"{self._path}: {error.message.strip().splitlines()[0]}")


def draw(
    page: Part,
    url: str,
    *,
    title: str,
    rows: Sequence[tuple[str, str]],
    parts: Mapping[str, Part],
    browser: Path,
) -> tuple[bytes, Missing]:
    """One picture under its caption as PNG, and what was missing. Raises PictureFailed."""
    with Drawing(browser) as drawing:
        image, missing = drawing.shoot(page, url, parts)
        return drawing.caption(image, title, rows, missing), missing


def draw_captioned(image: bytes, *, title: str, rows: Sequence[tuple[str, str]], browser: Path) -> bytes:
    """A screenshot taken during the visit, as it is, under the same caption. Raises PictureFailed."""
    with Drawing(browser) as drawing:
        return drawing.caption(image, title, rows, Missing())


def _shoot(
    chromium: Browser, page: Part, url: str, parts: Mapping[str, Part], height: int
) -> tuple[bytes, Missing]:
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
        viewport={"width": WIDTH, "height": height},
        java_script_enabled=False,
        service_workers="block",
        accept_downloads=False,
        locale="fr-FR",
        timezone_id="Europe/Paris",
    )
    with closing(context):
        tab = context.new_page()
        tab.route("**/*", answer)
        tab.goto(url, wait_until="load", timeout=PATIENCE_MS)
        return _screenshot(tab), missing


def _shoot_captioned(
    chromium: Browser, image: bytes, title: str, rows: Sequence[tuple[str, str]], warnings: Sequence[str]
) -> bytes:
    context = chromium.new_context(viewport={"width": WIDTH, "height": HEIGHT}, java_script_enabled=False)
    with closing(context):
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


def warnings_of(missing: Missing, image: bytes) -> list[str]:
    """What a reader of the picture must know: what the archive did not hold, what was cut."""
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
