"""Every query of every committed screen, with Grafana's variables and macros put in as Grafana does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "monitoring" / "grafana" / "dashboards"


@dataclass(frozen=True, slots=True)
class Query:
    """One query as it is committed."""

    board: str
    panel: str
    ref: str
    text: str
    is_sql: bool

    @property
    def name(self) -> str:
        return f"{self.board}: {self.panel} {self.ref}"

    def sql(self, choices: Mapping[str, list[str]], *, since: str, until: str) -> str:
        """As PostgreSQL gets it; ``since`` and ``until`` are instants."""
        text = self.text.replace("$__timeFrom()", f"'{since}'").replace("$__timeTo()", f"'{until}'")
        text = re.sub(
            r"\$__timeGroupAlias\((\w+), '1h'\)",
            r'(floor(extract(epoch FROM \1) / 3600) * 3600) AS "time"',
            text,
        )
        for name, values in choices.items():
            text = text.replace(f"${{{name}:sqlstring}}", ", ".join(f"'{value}'" for value in values))
        assert "$" not in text, f"{self.name}: a variable or macro is left in {text}"
        return text

    def promql(self, choices: Mapping[str, list[str]]) -> str:
        text = self.text.replace("$__rate_interval", "1m").replace("$__range", "1h")
        for name, values in choices.items():
            text = text.replace(f"${name}", "|".join(values))
        assert "$" not in text, f"{self.name}: a variable or macro is left in {text}"
        return text


def boards() -> list[dict[str, Any]]:
    return [json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))]


def panels(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Its panels without the headings of rows."""
    for panel in board["panels"]:
        yield from panel.get("panels", ())
        if panel["type"] != "row":
            yield panel


def queries() -> list[Query]:
    """Those of panels, variables and markers."""
    found = []
    for board in boards():
        title = board["title"]
        for panel in panels(board):
            for target in panel.get("targets", ()):
                text = target.get("rawSql") or target["expr"]
                found.append(Query(title, panel["title"], target["refId"], text, "rawSql" in target))
        for variable in board["templating"]["list"]:
            found.append(Query(title, f"variable {variable['name']}", "", variable["query"], True))
        for note in board["annotations"]["list"]:
            found.append(Query(title, note["name"], "", note["target"]["rawSql"], True))
    return found
