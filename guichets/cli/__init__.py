"""The ``guichets`` command: one module per verb, answers on stdout, all else on stderr.

Exit status: 0 done; 1 the work was done and its answer is no (a check failed, a rule was broken); 2 one line
says what stood in the way and what to do; 130 interrupted.
"""

from __future__ import annotations

import sys

import typer

from guichets import __version__
from guichets.cli import (
    archive,
    catalogue,
    constat,
    contribute,
    db,
    demo,
    evidence,
    export,
    exporter,
    facts,
    hosts,
    nodes,
    probe,
    releases,
    replay,
    report,
    sandbox,
    schedule,
    settings,
    simulate,
    status,
)
from guichets.errors import GuichetsError

app = typer.Typer(
    name="guichets",
    help="Guichets: an open observatory of appointment desks in French préfectures.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(archive.app, name="archive")
app.add_typer(catalogue.app, name="catalogue")
app.add_typer(db.app, name="db")
app.add_typer(evidence.app, name="evidence")
app.add_typer(hosts.app, name="hosts")
app.add_typer(schedule.app, name="schedule")
app.command()(constat.constat)
app.command()(demo.demo)
app.command()(export.export)
app.command()(exporter.exporter)
app.command()(facts.facts)
app.command("import")(contribute.import_)
app.command()(nodes.nodes)
app.command()(probe.probe)
app.command()(releases.releases)
app.command()(replay.replay)
app.command()(report.report)
app.command()(status.status)
app.command()(sandbox.sandbox)
app.command()(settings.settings)
app.command()(simulate.simulate)
app.command()(simulate.trace)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"guichets {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Guichets: an open observatory of appointment desks in French préfectures."""


def main() -> None:
    """Run the command line; a user's mistake ends in one line on stderr, never a traceback."""
    try:
        app()
    except GuichetsError as error:
        print(f"guichets: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
