"""``guichets evidence …``: the archived pages that observations rest on."""

from __future__ import annotations

import typer

from guichets.cli._picture import picture

app = typer.Typer(no_args_is_help=True, help="Les pages archivées qui prouvent les observations.")
app.command()(picture)


@app.callback()
def _group() -> None:
    """Les pages archivées qui prouvent les observations."""
