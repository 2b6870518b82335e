"""Writes the screens' JSON beside the provisioning files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from monitoring.dashboards import availability, health, hosts, platform, watch
from monitoring.dashboards.kit import as_json

FOLDER = Path(__file__).parent.parent / "grafana" / "dashboards"
BUILDERS = (health, availability, platform, hosts, watch)


def render() -> Mapping[str, str]:
    """File name -> text, of every screen."""
    found = {}
    for module in BUILDERS:
        board = as_json(module.build())
        found[f"{board['uid']}.json"] = json.dumps(board, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    return found


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in render().items():
        (FOLDER / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
