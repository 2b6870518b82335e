"""What the families share whose pages must run in a browser to tell anything."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, ClassVar

from guichets.browser import find_browser
from guichets.crawl import browsing
from guichets.crawl.probe import LiveProbe
from guichets.errors import ConfigurationError
from spiders.base import DeskSpider


class BrowsingSpider(DeskSpider):
    """A family whose walk may ``browse``. The page asks by itself; nothing on it is ever clicked."""

    probe_class: ClassVar[type[LiveProbe]] = browsing.BrowserProbe
    hosts_setting: ClassVar[str] = "GUICHETS_BROWSER_HOSTS"
    custom_settings: ClassVar[dict[str, Any]] = browsing.SETTINGS  # type: ignore[misc]

    @classmethod
    def check_machine(cls) -> None:
        """Playwright, and a browser it can run."""
        for package in ("playwright", "scrapy_playwright"):
            if find_spec(package) is None:
                raise ConfigurationError(
                    f"{cls.name} needs a browser, and {package} is not installed here: crawl it elsewhere"
                )
        find_browser()
