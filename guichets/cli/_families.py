"""The families' readers and walks, for commands that read pages without a crawl.

Here and not in the core, because the core knows no spider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spiders.base import DeskSpider


def load_families() -> dict[str, DeskSpider]:
    """One spider of each family, built without a crawler: it can read and walk, and send nothing."""
    from scrapy.settings import Settings
    from scrapy.spiderloader import SpiderLoader

    from spiders.base import DeskSpider

    loader = SpiderLoader.from_settings(Settings({"SPIDER_MODULES": ["spiders"]}))
    kinds = [loader.load(name) for name in loader.list()]
    return {kind.name: kind() for kind in kinds if issubclass(kind, DeskSpider)}
