"""``guichets demo``: a whole round against the sandbox, from an empty folder to the table by département."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from guichets import configuration
from guichets.errors import GuichetsError
from guichets.outcomes import GROUP_OF, Outcome, OutcomeGroup

HOST_DELAY_SECONDS = 0.25  # the sandbox is ours; real sites get 10 s
START_SECONDS = 60.0
STOP_SECONDS = 15.0
LOOK_SECONDS = 0.25  # between two looks at what the crawl has written
EMPTY = """
TRUNCATE observations, slots, crawls, desks, hosts, offices, catalogue_versions CASCADE
"""
COPIES = 20  # folders tried before giving up: a copy may be running in each


class DemoFailed(GuichetsError):
    """The demonstration could not be carried through; the text says where to look."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running ``guichets sandbox``."""

    process: subprocess.Popen[bytes]
    control: str
    catalogue: Path
    desks: int
    hosts: int
    families: tuple[str, ...]

    def ask(self, path: str) -> Any:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.control + path, timeout=30) as answer:
            return json.load(answer)


def demo(
    desks: Annotated[int, typer.Option(min=1, help="Nombre de guichets du bac à sable.")] = 130,
    departements: Annotated[int, typer.Option(min=1, help="Nombre de départements.")] = 40,
    family: Annotated[
        list[str] | None, typer.Option(help="Famille de plateforme ; répétable ; sinon toutes.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Graine : la même donne les mêmes guichets.")] = 1,
    year_desks: Annotated[
        int, typer.Option(min=0, help="Guichets de l'année simulée dont le site est fait ; 0 : pas de site.")
    ] = 60,
) -> None:
    """Visiter des guichets imaginaires, pour voir Guichets à l'œuvre sans déranger personne."""
    from rich.console import Console

    screen = Console(stderr=True, highlight=False)
    with _own_home() as home, contextlib.ExitStack() as stack:
        environment = _environment(home)
        screen.print(
            "[bold]Guichets, démonstration.[/] Des sites de préfecture imaginaires, sur cette machine."
        )
        os.environ.update(environment)
        screen.print("1/3  Base de données…")
        _prepare_database()
        screen.print("2/3  Bac à sable…")
        words = ["--seed", str(seed), "--desks", str(desks), "--departements", str(departements)]
        words += [word for name in family or _playable(screen) for word in ("--family", name)]
        sandbox = stack.enter_context(_running_sandbox(home, words, environment))
        os.environ["GUICHETS_CATALOGUE"] = environment["GUICHETS_CATALOGUE"] = str(sandbox.catalogue)
        screen.print(
            f"3/3  Visite de {sandbox.desks} guichets, {sandbox.hosts} sites, "
            f"{len(sandbox.families)} sortes de plateformes…"
        )
        began = time.monotonic()
        crawls = stack.enter_context(_running_crawls(home, sandbox.families, environment))
        _follow(crawls, sandbox.desks, screen)
        _show(sandbox, home, time.monotonic() - began, screen)
        if year_desks:
            from guichets.cli._demo_year import build_year_site

            screen.print(f"Et le site public, fait d'une année simulée de {year_desks} guichets…")
            page = build_year_site(home, desks=year_desks, seed=seed, screen=screen)
            typer.echo(f"Le site : {os.path.relpath(page)}")


def _playable(screen: Any) -> list[str]:
    """The families this machine can visit; what it lacks for others is said."""
    from guichets.cli._families import load_families
    from guichets.errors import ConfigurationError

    found = []
    for name, spider in sorted(load_families().items()):
        try:
            spider.check_machine()
        except ConfigurationError as error:
            screen.print(f"     Sans {name} : {error}", markup=False)
        else:
            found.append(name)
    return found


def _environment(home: Path) -> dict[str, str]:
    """Children see the demonstration's own folder and nothing of the user's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GUICHETS_")}
    os.environ.pop("GUICHETS_DATABASE_URL", None)
    return {
        **kept,
        "GUICHETS_HOME": str(home),
        "SCRAPY_SETTINGS_MODULE": "guichets.settings",
        "NO_PROXY": "127.0.0.0/8,localhost",
    }


@contextlib.contextmanager
def _own_home() -> Iterator[Path]:
    """A folder no other copy is using: ``demo``, else ``demo-2``, …"""
    base = configuration.home()
    for number in range(1, COPIES + 1):
        home = base / ("demo" if number == 1 else f"demo-{number}")
        try:
            home.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(home / "running.lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise DemoFailed(
                f"{home}: {error.strerror}: the demonstration needs a folder it can write"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            continue
        try:
            yield home
        finally:
            os.close(descriptor)
        return
    raise DemoFailed(f"{COPIES} demonstrations already run in {base}")


def _prepare_database() -> None:
    """Start the embedded server, and empty what an earlier demonstration left."""
    from guichets import database

    database.prepare()
    with database.connect("owner") as connection:
        connection.execute(EMPTY)
    for name in ("archive", "spool"):
        shutil.rmtree(configuration.home() / name, ignore_errors=True)


@contextlib.contextmanager
def _running_sandbox(home: Path, asked: list[str], environment: Mapping[str, str]) -> Iterator[Sandbox]:
    ready = home / "sandbox.json"
    ready.unlink(missing_ok=True)
    catalogue = home / "catalogue"
    shutil.rmtree(catalogue, ignore_errors=True)
    words = ["sandbox", *asked, "--port", "0", "--speed", "0"]  # nothing flips during the round
    words += ["--catalogue", str(catalogue), "--ready-file", str(ready)]
    words += ["--ledger", str(home / "ledger.jsonl")]
    (home / "ledger.jsonl").unlink(missing_ok=True)
    with (home / "sandbox.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "guichets", *words],
            env=dict(environment),
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise DemoFailed(f"the sandbox did not start; see {home / 'sandbox.log'}")
            time.sleep(0.05)
        told = json.loads(ready.read_text(encoding="utf-8"))
        yield Sandbox(
            process,
            told["control"],
            Path(told["catalogue"]),
            told["desks"],
            len(told["hosts"]),
            tuple(told["families"]),
        )
    finally:
        _stop(process, signal.SIGTERM)


@dataclass(slots=True)
class Crawls:
    """One crawl per family, as many at once as there are processors."""

    home: Path
    environment: Mapping[str, str]
    waiting: list[str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def have_ended(self) -> bool:
        """Start what may start; DemoFailed when a crawl could not do its work."""
        for family, process in list(self.running.items()):
            if process.poll() is None:
                continue
            del self.running[family]
            if process.returncode != 0:
                raise DemoFailed(
                    f"the crawl of {family} ended with status {process.returncode}; see {self.log(family)}"
                )
        while self.waiting and len(self.running) < (os.cpu_count() or 1):
            family = self.waiting.pop(0)
            self.running[family] = self._start(family)
        return not self.running

    def log(self, family: str) -> Path:
        return self.home / f"crawl-{family}.log"

    def _start(self, family: str) -> subprocess.Popen[bytes]:
        settings = {
            "GUICHETS_HOST_DELAY": HOST_DELAY_SECONDS,
            "GUICHETS_FORM_INTERVAL": 0,
            "GUICHETS_CONTROL_URLS": "",
            "LOG_FILE": self.log(family),
            "LOG_FILE_APPEND": False,
        }
        words = ["crawl", family, "-a", "due=all", "-O", str(self.home / f"observations-{family}.jsonl")]
        for name, value in settings.items():
            words += ["-s", f"{name}={value}"]
        return subprocess.Popen(
            [sys.executable, "-m", "scrapy", *words],
            env=dict(self.environment),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


@contextlib.contextmanager
def _running_crawls(home: Path, families: Iterable[str], environment: Mapping[str, str]) -> Iterator[Crawls]:
    crawls = Crawls(home, environment, list(families))
    try:
        yield crawls
    finally:
        for process in crawls.running.values():
            process.send_signal(signal.SIGINT)
        for process in crawls.running.values():
            _stop(process, signal.SIGINT)


def _stop(process: subprocess.Popen[bytes], number: int) -> None:
    if process.poll() is not None:
        return
    process.send_signal(number)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _follow(crawls: Crawls, desks: int, screen: Any) -> None:
    """Draw the progress from what the crawls have written, until they end."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from guichets import database

    columns = (
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with (
        database.connect("reader", autocommit=True) as connection,
        Progress(*columns, console=screen, disable=not screen.is_terminal) as progress,
    ):
        task = progress.add_task("", total=desks)
        while True:
            ended = crawls.have_ended()
            counts = Counter[str]()
            for outcome, count in connection.execute(
                "SELECT outcome::text, count(*) FROM observations WHERE counter_key IS NULL GROUP BY outcome"
            ):
                counts[GROUP_OF[Outcome(outcome)]] += count
            progress.update(task, completed=counts.total(), description=_in_words(counts))
            if ended:
                return
            time.sleep(LOOK_SECONDS)


def _in_words(counts: Mapping[str, int]) -> str:
    from guichets.cli._status_table import COLUMNS

    return " · ".join(
        f"{COLUMNS[group].replace(chr(10), ' ')} {counts[group]}"
        for group in OutcomeGroup
        if counts.get(group)
    )


def _show(sandbox: Sandbox, home: Path, seconds: float, screen: Any) -> None:
    from rich.console import Console

    from guichets.cli._status_table import render_family_table, render_status_table
    from guichets.cli.status import read_family_status, read_status

    answers = Console(highlight=False)
    answers.print(render_status_table(read_status(), now=datetime.now(UTC)))
    answers.print()
    answers.print(render_family_table(read_family_status()))
    wrong = _differences(sandbox)
    broken = len(sandbox.ask("/tripwires"))
    verdict = "tous justes" if not wrong else f"[bold red]{len(wrong)} faux[/]"
    answers.print(f"\n{sandbox.desks} guichets visités en {seconds:.0f} s, {verdict} d'après le bac à sable.")
    answers.print(f"Requêtes interdites : {broken}.")
    home_shown = shlex.quote(os.path.relpath(home))
    answers.print(
        f"À faire ensuite : GUICHETS_HOME={home_shown} .venv/bin/guichets export --format csv "
        "--out observations.csv",
        soft_wrap=True,
    )
    if wrong or broken:
        told = "; ".join(wrong[:3])
        raise DemoFailed(f"the round did not match the sandbox's truth: {told}; see {home / 'crawl-*.log'}")


def _differences(sandbox: Sandbox) -> list[str]:
    """Where a desk's outcome is not the sandbox's truth."""
    from guichets import database

    truth = sandbox.ask("/truth")
    with database.connect("reader") as connection:
        seen = {
            desk: (outcome, rule)
            for desk, outcome, rule in connection.execute(
                "SELECT desk_id, outcome::text, rule FROM desk_status"
            )
        }
    return [
        f"{desk} is {told['outcome']}, {' by '.join(seen.get(desk, ('never observed',)))} was observed"
        for desk, told in truth.items()
        if seen.get(desk, ("",))[0] != told["outcome"]
    ]
