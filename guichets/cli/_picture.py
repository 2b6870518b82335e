"""`guichets evidence picture`: an observation's page as a picture, from the archive alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import typer

if TYPE_CHECKING:
    from guichets.evidence import ArchivedPage, ArchiveReader, EvidenceRef
    from guichets.picture import Part

RECORDS_LOOKED_AT = 400  # after the page, for its style sheets and images
DAYS = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")
MONTHS = (
    *("janvier", "février", "mars", "avril", "mai", "juin"),
    *("juillet", "août", "septembre", "octobre", "novembre", "décembre"),
)
OUTCOMES = {
    "offered": "des rendez-vous sont proposés",
    "none": "aucun rendez-vous proposé",
    "open": "demandes acceptées, sans indication de créneau",
    "closed": "fermé par l'administration",
    "moved": "démarche déplacée ailleurs",
    "captcha": "contrôle anti-robot avant la réponse",
    "blocked": "visite refusée",
    "overloaded": "service en panne ou surchargé",
    "unreachable": "site injoignable",
    "gone": "page disparue",
    "unrecognised": "page non reconnue",
    "observer_fault": "défaillance de notre côté",
}
_PARIS = ZoneInfo("Europe/Paris")


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
    from guichets.picture import draw, draw_captioned
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
        ("Adresse", scrub_url(archived.url, row["family"])),
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
            _shown(archived, row["family"]),
            archived.url,
            title=title,
            rows=rows,
            parts=_parts(reader, ref, archived),
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


def _shown(archived: ArchivedPage, family: str) -> Part:
    """The page as it may be shown: text without sessions, tokens and slot handles."""
    from guichets.evidence import scrub_html
    from guichets.page import Page
    from guichets.picture import Part
    from guichets.visit import read_headers

    page = Page(
        url=archived.url,
        status=archived.status,
        headers=read_headers(archived.headers),
        body=archived.body(),
    )
    text = scrub_html(page.text, family, headers=archived.headers, url=archived.url)
    kind = page.media_type or "text/html"
    if kind not in {"text/html", "application/xhtml+xml"}:
        kind = "text/plain"  # data is shown as it is written; nothing else is what a desk answers with
    return Part(text.encode("utf-8", "replace"), f"{kind}; charset=utf-8")


def _parts(reader: ArchiveReader, ref: EvidenceRef, archived: ArchivedPage) -> dict[str, Part]:
    """What was archived after the page on its host in the same visit, by address."""
    from itertools import islice

    from guichets import configuration
    from guichets.evidence.decoding import header_values
    from guichets.evidence.errors import ArchiveError
    from guichets.evidence.layout import resolve
    from guichets.evidence.tombstone import present_place
    from guichets.picture import Part

    found: dict[str, Part] = {}
    path, offset = present_place(resolve(configuration.home(), ref.file), ref.offset)
    try:
        for _, _, other in islice(reader.pages(path, start=offset), RECORDS_LOOKED_AT):
            kind = b"".join(header_values(other.headers, b"content-type")).decode("latin-1")
            is_near = abs((other.started_at - archived.started_at).total_seconds()) < 3600
            if is_near and other.status == 200 and kind.startswith(("text/css", "image/", "font/")):
                found.setdefault(other.url, Part(other.body(), kind))
    except (ArchiveError, OSError):
        pass  # the page itself was checked; what cannot be read of the rest counts as not archived
    return found


def in_paris(instant: datetime) -> str:
    local = instant.astimezone(_PARIS)
    first = "1er" if local.day == 1 else str(local.day)
    return (
        f"{DAYS[local.weekday()]} {first} {MONTHS[local.month - 1]} {local.year} à {local:%H:%M:%S} "
        f"(heure de Paris, UTC{local:%z})"
    )
