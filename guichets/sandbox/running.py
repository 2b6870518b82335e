"""Running a sandbox in the foreground until Ctrl-C or TERM, and what it says then."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from datetime import datetime
from pathlib import Path

from rich.console import Console

from guichets.errors import ArgumentError
from guichets.sandbox.options import Options
from guichets.sandbox.server import Sandbox

CLEAN, RULES_BROKEN = 0, 1


def parse_start(text: str) -> datetime:
    """An ISO instant with its zone."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentError(f"--start {text!r} is not an ISO instant, such as 2026-03-29T00:30:00Z") from None


def run(options: Options, ready_file: Path | None = None) -> int:
    """Play until told to stop; the exit status is 1 when a rule was broken meanwhile."""
    try:
        import uvloop
    except ImportError:  # not on every system; only speed differs
        return asyncio.run(_run(options, ready_file))
    return int(uvloop.run(_run(options, ready_file)))


async def _run(options: Options, ready_file: Path | None) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    # the sandbox says nothing on stdout but its answer: the ready line and the account at the end
    console = Console(soft_wrap=True, highlight=False)
    async with Sandbox(options) as sandbox:
        _tell(ready_file, sandbox)
        console.print(
            f"Bac à sable prêt : {len(sandbox.play.desks)} guichets sur {len(sandbox.sites.states)} hôtes ; "
            f"commandes {sandbox.control_url} ; catalogue {sandbox.catalogue}",
            markup=False,
        )
        await stopped.wait()
        _untell(ready_file)
        broken = sandbox.tripwire_counts()
        console.print(
            f"Bac à sable fermé : {sandbox.ledger.count} requêtes, {sum(broken.values())} interdites."
        )
        for name, times in sorted(broken.items()):
            console.print(f"  requête interdite : {name}, {times} fois", markup=False)
    return RULES_BROKEN if broken else CLEAN


def _tell(ready_file: Path | None, sandbox: Sandbox) -> None:
    """Write the ready file in one move, so that a reader never sees half of it."""
    if ready_file is None:
        return
    draft = ready_file.with_name(f".{ready_file.name}.{os.getpid()}")
    try:
        draft.write_text(json.dumps(sandbox.ready()), encoding="utf-8")
        draft.replace(ready_file)
    except OSError as error:
        raise ArgumentError(f"--ready-file {str(ready_file)!r} cannot be written: {error.strerror}") from None


def _untell(ready_file: Path | None) -> None:
    if ready_file is not None:
        ready_file.unlink(missing_ok=True)
