"""``guichets exporter``: metrics for Prometheus."""

from __future__ import annotations

import signal
from enum import StrEnum
from typing import Annotated

import typer

from guichets.errors import ArgumentError


class What(StrEnum):
    ALL = "all"
    DATABASE = "database"
    MACHINE = "machine"


def exporter(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="TCP port; 0: any free one.")] = 9108,
    address: Annotated[str, typer.Option(help="Address it listens on; 0.0.0.0: all.")] = "127.0.0.1",
    what: Annotated[
        What,
        typer.Option(
            help="database: once for all machines; machine: this one's disk, spool and archive; all."
        ),
    ] = What.ALL,
) -> None:
    """Serve metrics at /metrics until Ctrl-C, and keep the figures up to date."""
    from monitoring.exporter import serving

    wanted = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    try:
        with serving(what.value, address=address, port=port) as used:
            typer.echo(f"http://{address}:{used}/metrics")
            signal.sigwait(wanted)
    except OSError as error:
        raise ArgumentError(f"--address {address} --port {port}: {error.strerror or error}") from None
