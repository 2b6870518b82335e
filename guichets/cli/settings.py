"""``guichets settings``: every setting, its default and its unit, as a Markdown table."""

from __future__ import annotations

import typer


def settings() -> None:
    """Print every setting of Guichets: name, default, unit and meaning."""
    typer.echo(render_settings(), nl=False)


def render_settings() -> str:
    """The page docs/settings.md."""
    from guichets.configuration import SETTINGS

    lines = [
        "# Settings",
        "",
        "Given to a crawl with `-s NAME=value`; those marked « environment » may be set there too, and are",
        "what the `guichets` command reads. An unknown `GUICHETS_…` name stops a crawl before any request.",
        "",
        "| name | default | unit | environment | meaning |",
        "|---|---|---|---|---|",
    ]
    for setting in SETTINGS:
        default = f"`{setting.default}`" if setting.default not in ("", None) else "unset"
        marked = "yes" if setting.environment else ""
        lines.append(f"| `{setting.name}` | {default} | {setting.unit} | {marked} | {setting.sentence} |")
    return "\n".join(lines) + "\n"
