"""Feed exports (``-O file``) of observations: Scrapy's, with instants in ISO 8601 and their zone."""

from __future__ import annotations

import json
from typing import Any

from scrapy.exporters import CsvItemExporter, JsonItemExporter, JsonLinesItemExporter

from guichets.items import Observation


class JsonLinesExporter(JsonLinesItemExporter):
    """One observation per line."""

    def export_item(self, item: Any) -> None:
        super().export_item(item.exported() if isinstance(item, Observation) else item)


class JsonExporter(JsonItemExporter):
    """One array of observations."""

    def export_item(self, item: Any) -> None:
        super().export_item(item.exported() if isinstance(item, Observation) else item)


class CsvExporter(CsvItemExporter):
    """One row per observation; evidence as JSON."""

    def export_item(self, item: Any) -> None:
        if isinstance(item, Observation):
            item = item.exported()
            item["evidence"] = json.dumps(item["evidence"], ensure_ascii=False)
        super().export_item(item)
