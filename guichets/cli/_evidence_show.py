"""``guichets evidence show``: ce sur quoi une observation repose, réponse par réponse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

if TYPE_CHECKING:
    from guichets.evidence import ArchivedPage

LONGEST_TEXT = 4_000  # characters of a page's text; --raw shows all of it


def show(
    observation: Annotated[
        str, typer.Argument(metavar="ID", help="L'observation, telle que l'export la nomme.")
    ],
    page: Annotated[
        int | None, typer.Option(min=1, help="Le texte de cette page, depuis 1 ; sinon de la dernière.")
    ] = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="Tout montrer, sessions et jetons compris, avec les en-têtes : ne pas publier."
        ),
    ] = False,
) -> None:
    """Montrer la chaîne de preuves d'une observation et le texte de la page qui l'établit."""
    from guichets import configuration
    from guichets.errors import ArgumentError
    from guichets.evidence import ArchiveReader, EvidenceError
    from guichets.proof.holds import refs_of

    row = read_observation(observation)
    parts: list[dict[str, Any]] = row["evidence"]
    if page is not None and page > len(parts):
        raise ArgumentError(f"--page {page} : l'observation repose sur {len(parts)} réponse(s)")
    for name, value in _facts(row):
        typer.echo(f"{name:<13}{value}")
    reader = ArchiveReader(configuration.home())
    pages: list[ArchivedPage | None] = []
    broken = 0
    typer.echo(f"\nRepose sur {len(parts)} réponse(s) :")
    for number, part in enumerate(parts, start=1):
        archived = None
        trouble = None if part.get("file") else "non archivée"
        for ref in refs_of([part]):
            try:
                archived = reader.read_page(ref)
            except EvidenceError as problem:
                trouble = f"illisible : {problem}"
                broken += 1
        pages.append(archived)
        _show_part(number, part, archived, trouble, row["family"], raw=raw)
    if parts:
        place = len(parts) if page is None else page
        chosen = pages[place - 1]
        if chosen is not None:
            _show_text(place, chosen, row["family"], raw=raw)
    else:
        typer.echo("  aucune : aucune réponse n'est arrivée.")
    if broken:
        raise typer.Exit(1)


def read_observation(observation: str) -> dict[str, Any]:
    """The row of an observation with the words for its desk. Raises ArgumentError for an unknown one."""
    from psycopg.rows import dict_row

    from guichets.cli._session import open_session
    from guichets.database.queries import load_queries
    from guichets.errors import ArgumentError

    try:
        wanted = UUID(observation)
    except ValueError:
        raise ArgumentError(f'"{observation}" is not the id of an observation') from None
    query = load_queries("guichets.proof", "proof.sql")["observation"]
    with open_session("reader") as connection, connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(query, {"id": wanted}).fetchone()
    if row is None:
        raise ArgumentError(f"the database knows no observation {observation}")
    return row


def _facts(row: dict[str, Any]) -> list[tuple[str, str]]:
    from guichets.french import OUTCOMES, in_paris

    facts = [
        ("Observation", str(row["id"])),
        ("Guichet", f"{row['label']} — {row['office']} ({row['departement']}) — {row['desk_id']}"),
    ]
    if row["counter_key"] is not None:
        facts.append(("Sous-choix", f"{row['counter_label'] or ''} ({row['counter_key']})".strip()))
    facts += [
        ("Vu le", in_paris(row["observed_at"])),
        ("Constat", f"{OUTCOMES[row['outcome']]} ({row['outcome']})"),
        ("Règle", f"{row['rule']}, lecteur {row['parser']}"),
    ]
    if row["purpose"] == "contributed":
        facts.append(("Provenance", "page donnée par une personne"))
    if row["supersedes"] is not None:
        facts.append(("Corrige", f"l'observation {row['supersedes']}"))
    if row["superseded_by"] is not None:
        facts.append(("Corrigée par", f"l'observation {row['superseded_by']}"))
    return facts


def _show_part(
    number: int,
    part: dict[str, Any],
    archived: ArchivedPage | None,
    trouble: str | None,
    family: str,
    *,
    raw: bool,
) -> None:
    from guichets.evidence import scrub_url
    from guichets.french import in_paris
    from guichets.visit import SCREENSHOT, SHOWN

    url = part["url"] if raw else scrub_url(part["url"], family)
    asked = f"{archived.method} " if archived is not None and archived.method else ""
    typer.echo(f"\n  {number}. {asked}{url}")
    if archived is not None:
        again = ", page déjà archivée" if archived.is_revisit else ""
        typer.echo(f"     {in_paris(archived.finished_at)}{again}")
    kind = f"HTTP {part['status']}"
    if part["url"].startswith(SHOWN):
        kind = "ce que la page montrait dans un navigateur"
    elif part["url"].startswith(SCREENSHOT):
        kind = "photographie de la page : guichets evidence picture"
    typer.echo(f"     {kind}, {part['size']} octets, SHA-256 {part['sha256']}")
    if part.get("file"):
        typer.echo(f"     {part['file']} à l'octet {part['offset']}, {part['length']} octets")
        typer.echo(f"     {part['record_id']}, SHA-256 de l'enregistrement {part['digest']}")
    if trouble is not None:
        typer.echo(f"     {trouble}")
    if raw and archived is not None:
        for mark, headers in ((">", archived.request_headers), ("<", archived.headers)):
            for name, value in headers:
                typer.echo(f"     {mark} {name.decode('latin-1')}: {value.decode('latin-1')}")


def _show_text(number: int, archived: ArchivedPage, family: str, *, raw: bool) -> None:
    from guichets.evidence import EvidenceError, scrub_html
    from guichets.page import Page, visible_text
    from guichets.visit import read_headers

    try:
        body = archived.body()
    except EvidenceError as problem:
        typer.echo(f"\nTexte de la réponse {number} : {problem}")
        return
    page = Page(url=archived.url, status=archived.status, headers=read_headers(archived.headers), body=body)
    if page.media_type.startswith("image/"):
        typer.echo(f"\nLa réponse {number} est une image.")
        return
    text = page.text
    if not raw:
        text = scrub_html(text, family, headers=archived.headers, url=archived.url)
    shown = Page(url=page.url, status=page.status, body=text.encode("utf-8", "replace"))
    words = visible_text(shown.root) if shown.root is not None else ""
    cut = " […]" if len(words) > LONGEST_TEXT and not raw else ""
    typer.echo(f"\nTexte de la réponse {number} :")
    typer.echo((words if raw else words[:LONGEST_TEXT]) + cut if words else "(aucun texte)")
