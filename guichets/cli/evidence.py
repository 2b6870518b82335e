"""``guichets evidence …``: the archived pages that observations rest on."""

from __future__ import annotations

import typer

from guichets.cli._evidence_show import show
from guichets.cli._evidence_verify import verify
from guichets.cli._picture import picture

app = typer.Typer(no_args_is_help=True, help="Les pages archivées qui prouvent les observations.")
app.command()(picture)
app.command()(show)
app.command()(verify)


@app.callback()
def _group() -> None:
    """Les pages archivées qui prouvent les observations."""
