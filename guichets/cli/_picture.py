"""`guichets evidence picture`: an observation's page as a picture, from the archive alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

if TYPE_CHECKING:
    from guichets.evidence import ArchivedPage, EvidenceRef


def picture(
    observation: Annotated[
        str, typer.Argument(metavar="ID", help="L'observation, telle que l'export la nomme.")
    ],
    out: Annotated[str, typer.Option(help="Fichier PNG à écrire.")],
    page: Annotated[
        int | None, typer.Option(min=1, help="Laquelle de ses pages, depuis 1 ; sinon la dernière.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Remplacer le fichier s'il existe.")] = False,
) -> None:
    """Dessiner la page archivée d'une observation, réseau coupé, avec sa légende."""
    from guichets import configuration
    from guichets.browser import find_browser
    from guichets.errors import ArgumentError
    from guichets.evidence import ArchiveReader, scrub_url
    from guichets.export import open_destination
    from guichets.french import OUTCOMES, in_paris
    from guichets.picture import draw, draw_captioned
    from guichets.shown import parts_of, shown_page
    from guichets.visit import SCREENSHOT

    row = _read_observation(observation)
    parts = row["evidence"]
    if not parts:
        raise ArgumentError(f"observation {observation} rests on no page: {row['outcome']} ({row['rule']})")
    if page is not None and page > len(parts):
        raise ArgumentError(f"--page {page}: the observation rests on {len(parts)} pages")
    place = _most_telling(parts) if page is None else page - 1
    ref = _ref(parts[place], observation)
    browser = find_browser()
    reader = ArchiveReader(configuration.home())
    archived = reader.read_page(ref)
    rows = [
        ("Adresse", scrub_url(_page_address(archived.url), row["family"])),
        ("Vue le", in_paris(archived.finished_at)),
        ("SHA-256", ref.sha256),
        ("Guichet", f"{row['label']} — {row['office']} ({row['departement']}) — {row['desk_id']}"),
        ("Constat", f"{OUTCOMES[row['outcome']]} — règle {row['rule']}, lecteur {row['parser']}"),
        ("Observation", f"{observation}, page {place + 1} sur {len(parts)}, {_what_it_is(archived)}"),
    ]
    if row["purpose"] == "contributed":
        rows.append(("Provenance", "page donnée par une personne"))
    with open_destination(out, force=force, binary=True) as stream:
        title = "Page archivée par Guichets, observatoire des rendez-vous en préfecture"
        if archived.url.startswith(SCREENSHOT):
            stream.write(draw_captioned(archived.body(), title=title, rows=rows, browser=browser))
            return
        png, missing = draw(
            shown_page(archived, row["family"]),
            archived.url,
            title=title,
            rows=rows,
            parts=parts_of(reader, configuration.home(), ref, archived),
            browser=browser,
        )
        stream.write(png)
    if missing.styles:
        typer.echo(f"Feuilles de style non archivées : {len(set(missing.styles))}", err=True)


def _most_telling(parts: Sequence[Mapping[str, Any]]) -> int:
    """The screenshot taken during the visit, where there is one; else the last page."""
    from guichets.visit import SCREENSHOT

    taken = [place for place, part in enumerate(parts) if part["url"].startswith(SCREENSHOT)]
    return taken[-1] if taken else len(parts) - 1


def _page_address(url: str) -> str:
    from guichets.visit import SCREENSHOT, SHOWN

    return url.removeprefix(SCREENSHOT).removeprefix(SHOWN)


def _what_it_is(archived: ArchivedPage) -> str:
    from guichets.visit import SCREENSHOT, SHOWN

    if archived.url.startswith(SCREENSHOT):
        return "photographie de la page pendant la visite"
    if archived.url.startswith(SHOWN):
        return "ce que la page montrait"
    return f"réponse HTTP {archived.status}"


def _read_observation(observation: str) -> dict[str, Any]:
    from psycopg.rows import dict_row

    from guichets.cli._session import open_session
    from guichets.database import load_queries
    from guichets.errors import ArgumentError

    try:
        wanted = UUID(observation)
    except ValueError:
        raise ArgumentError(f'"{observation}" is not the id of an observation') from None
    query = load_queries("guichets.cli", "picture.sql")["observation"]
    with open_session("reader") as connection, connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(query, {"id": wanted}).fetchone()
    if row is None:
        raise ArgumentError(f"the database knows no observation {observation}")
    return row


def _ref(part: dict[str, Any], observation: str) -> EvidenceRef:
    from guichets.errors import ArgumentError
    from guichets.evidence import EvidenceRef

    if not part.get("file"):
        raise ArgumentError(f"observation {observation}: its page was not archived")
    names = ("file", "offset", "length", "sha256", "record_id", "digest")
    return EvidenceRef(**{name: part[name] for name in names})
