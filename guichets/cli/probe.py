"""``guichets probe URL`` : visiter un guichet une fois et montrer chaque page, la règle et l'issue.

The trial has a home of its own, ``GUICHETS_HOME/probe``: an address that nobody has put in the catalogue must
enter no figure. Its pace is kept there like any crawl's, and a host that the observatory's own database says
to leave alone is left alone here too.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from guichets import configuration
from guichets.errors import ArgumentError, GuichetsError

if TYPE_CHECKING:
    from rich.console import Console

    from guichets.catalogue import Departement
    from guichets.items import Observation
    from guichets.page import Reading
    from spiders.base import DeskSpider

PARIS = "75"  # its clock is the one of an address whose département nobody told
TO_FILL = '""  # à compléter'


class ProbeFailed(GuichetsError):
    """The visit could not be made; the text says why and what to do."""


def probe(
    url: Annotated[str, typer.Argument(metavar="ADRESSE", help="Première page du guichet.")],
    family: Annotated[
        str | None, typer.Option(help="Famille de plateforme, si l'adresse ne la dit pas.")
    ] = None,
    departement: Annotated[str | None, typer.Option(help="Département du guichet, par ex. 92.")] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="NOM=VALEUR, ce que l'adresse ne dit pas ; répétable.")
    ] = None,
    toml: Annotated[
        bool, typer.Option("--toml", help="Afficher aussi l'entrée de catalogue à coller.")
    ] = False,
) -> None:
    """Visiter un guichet une fois, sans rien réserver, et montrer chaque étape."""
    from rich.console import Console

    from guichets.catalogue.urls import canonical_url, url_problem

    problem = url_problem(url)
    if problem:
        raise ArgumentError(f'"{url}" {problem}')
    address = canonical_url(url)
    kind = _kind_of(address, family)
    problem = url_problem(address, kind.name)
    if problem:
        raise ArgumentError(f'"{url}" {problem}')
    place = _departement_of(address, departement, kind)
    params = _read_params(param or [], kind.name)
    _refuse_where_told_to_stay_away(urlsplit(address).netloc)
    home = configuration.home() / "probe"
    desk_id = f"essai-{hashlib.sha256(f'{kind.name} {address} {params}'.encode()).hexdigest()[:12]}"
    _write_catalogue(home / "catalogue", desk_id, kind.name, address, place.code if place else PARIS, params)
    screen = Console(highlight=False)
    screen.print(f"{kind.name}  {address}", soft_wrap=True, markup=False)
    observations = _visit(kind, desk_id, home, screen)
    _show(observations, home, screen)
    if toml:
        screen.print()
        print(_entry(kind.name, address, place, params, taken=desk_id), end="")
    if observations[-1].outcome == "observer_fault":
        raise typer.Exit(1)


def _kind_of(address: str, family: str | None) -> type[DeskSpider]:
    """The family's spider: the one asked for, else the only one whose entries look like this."""
    from guichets.catalogue import did_you_mean
    from guichets.cli._families import load_families

    kinds = {name: type(spider) for name, spider in load_families().items()}
    if family is not None:
        if family not in kinds:
            raise ArgumentError(f'--family "{family}" is unknown.{did_you_mean(family, kinds)}')
        return kinds[family]
    parts = urlsplit(address)
    asked = f"{parts.path}?{parts.query}" if parts.query else parts.path
    found = [name for name, kind in kinds.items() if kind.entry and re.fullmatch(kind.entry, asked)]
    if len(found) == 1:
        return kinds[found[0]]
    known = ", ".join(found or kinds)
    said = "looks like several families" if found else "looks like no family's first page"
    raise ArgumentError(f'"{address}" {said}; say which with --family: {known}')


def _departement_of(address: str, given: str | None, kind: type[DeskSpider]) -> Departement | None:
    """The département given, else the one whose name the host bears; None when neither tells."""
    from guichets.catalogue import departement_hint, departements

    known = departements()
    if given is not None:
        code = given.strip().upper()
        if code not in known:
            raise ArgumentError(f'--departement "{given}" is unknown.{departement_hint(given, known)}')
        return known[code]
    told = kind.departement_of(address)
    if told is not None and told in known:
        return known[told]
    words = f"-{re.sub(r'[^a-z0-9]+', '-', (urlsplit(address).hostname or ''))}-"
    named = [entry for entry in known.values() if f"-{_slug(entry.name)}-" in words]
    return max(named, key=lambda entry: len(entry.name), default=None)  # savoie, and haute-savoie


def _read_params(given: list[str], family: str) -> dict[str, str | int]:
    from guichets.catalogue import FAMILIES, did_you_mean

    params: dict[str, str | int] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not value:
            raise ArgumentError(f'--param "{text}": write NAME=VALUE')
        known = FAMILIES[family].get(name)
        if known is None:
            hint = did_you_mean(name, FAMILIES[family]) if FAMILIES[family] else f" {family} takes none."
            raise ArgumentError(f'--param "{name}" is unknown for family {family}.{hint}')
        params[name] = int(value) if int in known.kinds and value.isdigit() else value
    return params


def _refuse_where_told_to_stay_away(host: str) -> None:
    """What the observatory's database says of the host holds here too. Nothing is started to ask it."""
    from psycopg.rows import dict_row

    from guichets import database
    from guichets.database import embedded

    if database.is_embedded() and not embedded.is_running(configuration.home()):
        return
    with database.connect("reader") as connection, connection.cursor(row_factory=dict_row) as cursor:
        query = database.load_queries("guichets.cli", "hosts.sql")["ledger"]
        row = cursor.execute(query, {"host": host}).fetchone()
    if row is None:
        return
    if row["forbidden"]:
        raise ProbeFailed(f"{host} is forbidden ({row['forbidden_why']}); guichets hosts tells since when")
    if row["paused_until"] is not None:
        raise ProbeFailed(f"{host} is paused until {row['paused_until']:%Y-%m-%d %H:%M} UTC: try again then")
    if row["lease_owner"] is not None:
        raise ProbeFailed(f"{host} is being visited by {row['lease_owner']}: try again in a few minutes")


def _write_catalogue(
    folder: Path, desk_id: str, family: str, address: str, code: str, params: dict[str, str | int]
) -> None:
    lines = {
        "id": desk_id,
        "family": family,
        "departement": code,
        "office": "Essai",
        "procedure": "autre",
        "label": "Essai",
        "url": address,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.toml"):
            old.unlink()
        (folder / f"{code}.toml").write_text(_table(lines, params), encoding="utf-8")
    except OSError as error:
        raise ProbeFailed(f"{folder}: {error.strerror}: a trial needs a folder it can write") from error


def _table(lines: dict[str, str], params: dict[str, str | int]) -> str:
    text = "[[desk]]\n" + "".join(f"{name} = {_quoted(value)}\n" for name, value in lines.items())
    if params:
        text += (
            "params = { " + ", ".join(f"{name} = {_quoted(value)}" for name, value in params.items()) + " }\n"
        )
    return text


def _quoted(value: str | int) -> str:
    """A TOML value; one that is to be filled in bears its comment already."""
    return value if value == TO_FILL else json.dumps(value, ensure_ascii=False)


def _visit(kind: type[DeskSpider], desk_id: str, home: Path, screen: Console) -> list[Observation]:
    """The crawl of one desk, in this process; each page is told as it is read."""
    from scrapy import signals
    from scrapy.crawler import CrawlerProcess
    from scrapy.utils.project import get_project_settings

    os.environ.pop("GUICHETS_DATABASE_URL", None)
    os.environ |= {
        "GUICHETS_HOME": str(home),
        "GUICHETS_CATALOGUE": str(home / "catalogue"),
        "SCRAPY_SETTINGS_MODULE": "guichets.settings",
    }
    settings = get_project_settings()
    settings.set("LOG_FILE", str(home / "crawl.log"), priority="cmdline")
    settings.set("LOG_FILE_APPEND", False, priority="cmdline")
    seen: list[Observation] = []
    process = CrawlerProcess(settings)
    crawler = process.create_crawler(_telling(kind, screen))
    crawler.signals.connect(lambda item: seen.append(item), signals.item_scraped, weak=False)
    process.crawl(crawler, due="all", desks=desk_id)
    process.start()
    if not seen:
        stats = crawler.stats.get_stats() if crawler.stats else {}
        raise ProbeFailed(_why_nothing(stats, home))
    return seen


def _telling(kind: type[DeskSpider], screen: Console) -> type[DeskSpider]:
    """The family's spider with a probe that tells each page it reads."""
    from guichets.visit import Asking, ProbeStopped, Watch

    live: Any = kind.probe_class

    class TellingProbe(live):  # type: ignore[misc]  # whichever the family uses
        number = 0

        async def _ask(self, url: str, asking: Asking, read: Any) -> Any:
            self.number += 1
            try:
                reading = await super()._ask(url, asking, read)
            except ProbeStopped as stop:
                _tell(screen, self.number, asking.method, url, None, stop.reading)
                raise
            _tell(screen, self.number, asking.method, url, self._status, reading)
            return reading

        async def browse(self, watch: Watch, read: Any) -> Any:
            self.number += 1
            page = self.url
            try:
                reading = await super().browse(watch, read)
            except ProbeStopped as stop:
                _tell(screen, self.number, "NAVIGATEUR", page, None, stop.reading)
                raise
            _tell(screen, self.number, "NAVIGATEUR", page, self._status, reading)
            return reading

    return type(kind.__name__, (kind,), {"probe_class": TellingProbe})


def _tell(screen: Console, number: int, method: str, url: str, status: int | None, reading: Reading) -> None:
    from guichets.evidence.scrub import scrub_url

    family = reading.rule.partition(".")[0]
    try:
        shown = scrub_url(url, family)
    except ValueError:  # a rule of all families
        shown = url
    parts = urlsplit(shown)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    verdict = reading.outcome.in_french if reading.outcome else "la visite continue"
    screen.print(f"  {number}  {method} {path}", soft_wrap=True, markup=False)
    screen.print(f"     {status or 'pas de réponse'}  {reading.rule}  →  {verdict}", soft_wrap=True)
    if reading.note:
        screen.print(f"     {reading.note}", soft_wrap=True, markup=False)


def _why_nothing(stats: dict[str, Any], home: Path) -> str:
    from guichets.crawl.stats import FAULT

    if stats.get(FAULT):
        return str(stats[FAULT])
    if stats.get("finish_reason") == "shutdown":
        return "interrupted"
    return (
        "nothing was asked: this form was visited less than a quarter of an hour ago, or its host is paused; "
        f"try again later ({home / 'crawl.log'} tells)"
    )


def _show(observations: list[Observation], home: Path, screen: Console) -> None:
    screen.print()
    for line in observations:
        who = f"{line.counter}  {line.counter_label or ''}".strip() if line.counter else "Guichet"
        screen.print(f"{who} : {line.outcome.in_french}  ({line.rule})", soft_wrap=True, markup=False)
        slots = [f"{slot:%d/%m/%Y}" if not hasattr(slot, "hour") else f"{slot:%d/%m/%Y %H:%M}"
                 for slot in (line.first_slot, line.second_slot) if slot]  # fmt: skip
        if slots:
            screen.print(f"  premières dates : {', '.join(slots)}")
        if line.note:
            screen.print(f"  {line.note}", soft_wrap=True, markup=False)
    for name, text in observations[-1].facts:
        screen.print(f"  {name} : {text[:200]}", soft_wrap=True, markup=False)
    files = dict.fromkeys(part.file for part in observations[-1].evidence if part.file)
    for file in files:
        screen.print(f"Pages gardées : {home / file}", soft_wrap=True)


def _entry(
    family: str, address: str, place: Departement | None, params: dict[str, str | int], *, taken: str
) -> str:
    """The catalogue entry to paste; what nobody knows yet is left to be filled in."""
    code = place.code if place else None
    host = _slug((urlsplit(address).hostname or "").removeprefix("www.").removesuffix(".gouv.fr"))
    number = "-".join(re.findall(r"[0-9]+", urlsplit(address).path)[-1:]) or taken.removeprefix("essai-")[:6]
    lines = {
        "id": f"{(code or 'xx').lower()}-{host[:40].strip('-')}-{number}",
        "family": family,
        "departement": code or TO_FILL,
        "office": TO_FILL,
        "procedure": TO_FILL,
        "label": TO_FILL,
        "url": address,
    }
    return _table(lines, params)


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
