"""``guichets import`` : des pages enregistrées par des personnes deviennent des observations, avec preuve."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from psycopg import Connection

    from guichets.catalogue.model import Desk
    from guichets.contribution import Judged
    from guichets.evidence import EvidenceRef
    from guichets.items import Evidence, Observation
    from spiders.base import DeskSpider

PSEUDONYM = re.compile(r"[a-z0-9][a-z0-9._-]{1,39}")


def import_(
    files: Annotated[
        list[Path], typer.Argument(metavar="FICHIER…", help="WARC, WACZ, ou une page HTML enregistrée.")
    ],
    desk: Annotated[str, typer.Option(help="Le guichet que montrent ces pages.")],
    contributor: Annotated[
        str,
        typer.Option(
            help="Pseudonyme de qui les donne (minuscules, chiffres, . _ -) ; jamais un nom, jamais publié."
        ),
    ],
    url: Annotated[
        str | None, typer.Option(help="Adresse de la page, si une page HTML enregistrée ne la dit pas.")
    ] = None,
    seen_at: Annotated[
        str | None,
        typer.Option(help="Quand la page HTML a été vue : 2026-03-01T08:00, heure de Paris sans zone."),
    ] = None,
) -> None:
    """Lire des pages données par des personnes, les archiver et noter ce qu'elles établissent.

    Un fichier refusé (abîmé, au-delà du calendrier, données personnelles) : rien n'est écrit, d'aucun.
    """
    from guichets.cli._session import open_session
    from guichets.errors import ArgumentError
    from guichets.export import read_instant

    if not PSEUDONYM.fullmatch(contributor):
        raise ArgumentError(
            "--contributor: write a pseudonym of 2 to 40 small letters, digits, dots, dashes: never a name"
        )
    if url is not None and len(files) > 1:
        raise ArgumentError("--url tells the address of one saved page: give one file at a time")
    with open_session("writer") as connection:
        found, family = _desk_and_family(connection, desk)
        judged = _judge_all(files, found, family, url, read_instant("--seen-at", seen_at))
        for observation, is_new in _keep(connection, judged, found, family, contributor):
            seen = f"{observation.observed_at:%Y-%m-%d %H:%M} UTC"
            what = (
                f"{observation.desk}  {seen}  {observation.outcome}  ({observation.rule})  {observation.id}"
            )
            typer.echo(what if is_new else f"{what}  déjà importée")


def _desk_and_family(connection: Connection[Any], desk_id: str) -> tuple[Desk, DeskSpider]:
    from psycopg.rows import dict_row

    from guichets.catalogue.model import Desk
    from guichets.cli._families import load_families
    from guichets.database import load_queries
    from guichets.errors import ArgumentError

    with connection.cursor(row_factory=dict_row) as cursor:
        query = load_queries("guichets.cli", "contribute.sql")["desk"]
        row = cursor.execute(query, {"desk": desk_id}).fetchone()
    if row is None:
        raise ArgumentError(f'--desk: the database knows no "{desk_id}"; guichets catalogue list shows them')
    desk = Desk(**row)
    family = load_families().get(desk.family)
    if family is None:
        raise ArgumentError(f'--desk: this version has no reader for the family "{desk.family}" of {desk.id}')
    return desk, family


def _judge_all(
    files: list[Path], desk: Desk, family: DeskSpider, url: str | None, seen_at: datetime | None
) -> list[Judged]:
    """Every file is read and judged before anything is written. Refusals are told one by one."""
    from guichets.contribution import judge
    from guichets.evidence import read_contribution
    from guichets.evidence.errors import ImportRefused

    judged = []
    refused = False
    for path in files:
        try:
            exchanges = read_contribution(path, url=url, seen_at=seen_at)
            try:
                found = judge(exchanges, desk=desk, gate=family.gate, read=family.read, now=datetime.now(UTC))
            except ImportRefused as reason:
                raise ImportRefused(f"{path.name}: {reason}") from None
            judged.append(found)
        except ImportRefused as reason:
            typer.echo(f"guichets: {reason}", err=True)
            refused = True
    if refused:
        raise typer.Exit(2)
    return judged


def _keep(
    connection: Connection[Any], judged: list[Judged], desk: Desk, family: DeskSpider, contributor: str
) -> list[tuple[Observation, bool]]:
    """Archive the pages and write their observations; those of a file given before are left alone."""
    from guichets import configuration
    from guichets.database.observations import insert_observations
    from guichets.evidence import ArchiveWriter
    from guichets.proof import IMPORT_WORKER
    from guichets.rows import note_of, record_of

    kept: list[tuple[Observation, bool]] = []
    records = []
    home = configuration.home()
    new = {found.id: found for found in judged if not _is_known(connection, found)}
    for found in judged:
        if found.id not in new:
            kept.append((_observe(found, (), desk, family, contributor), False))
    if not new:
        return kept
    with ArchiveWriter(home, IMPORT_WORKER, now=lambda: datetime.now(UTC)) as archive:
        for found in new.values():
            refs = [archive.write_exchange(exchange) for exchange in found.kept]
            evidence = tuple(_evidence(found, refs, place) for place in found.pages)
            observation = _observe(found, evidence, desk, family, contributor)
            record = record_of(observation)
            archive.write_note(
                note_of(record),
                record_id=observation.id.urn,
                at=observation.observed_at,
                rests_on=[refs[place].record_id for place in found.pages],
            )
            records.append(record)
            kept.append((observation, True))
        archive.sync()
        insert_observations(connection, records)
        connection.commit()
        archive.write_committed()
    return kept


def _is_known(connection: Connection[Any], found: Judged) -> bool:
    from guichets.database import load_queries

    query = load_queries("guichets.cli", "contribute.sql")["known_observation"]
    return (
        connection.execute(query, {"id": found.id, "observed_at": found.observed_at}).fetchone() is not None
    )


def _observe(
    found: Judged, evidence: tuple[Evidence, ...], desk: Desk, family: DeskSpider, contributor: str
) -> Observation:
    from guichets.catalogue import departements
    from guichets.items import Observation
    from guichets.proof import IMPORT_WORKER
    from guichets.visit import verdict_fields
    from pipelines.validate import validate

    return validate(
        Observation(
            id=found.id,
            probe=found.id,
            desk=desk.id,
            family=desk.family,
            departement=desk.departement,
            observed_at=found.observed_at,
            purpose="contributed",
            http_status=found.http_status,
            evidence=evidence,
            parser=family.parser,
            worker=IMPORT_WORKER,
            host=desk.host,
            contributor=contributor,
            **verdict_fields(found.reading, departements()[desk.departement].zone),
        )
    )


def _evidence(found: Judged, refs: list[EvidenceRef], place: int) -> Evidence:
    from guichets.contribution import page_of_exchange
    from guichets.items import Evidence

    exchange, ref = found.kept[place], refs[place]
    return Evidence(
        url=exchange.url,
        status=exchange.status,
        sha256=ref.sha256,
        size=len(page_of_exchange(exchange).body),
        file=ref.file,
        offset=ref.offset,
        length=ref.length,
        record_id=ref.record_id,
        digest=ref.digest,
    )
