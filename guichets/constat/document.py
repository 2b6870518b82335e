"""The constat as a document: facts in words, laid out by ``constat.typ``, written as PDF/A by Typst."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from guichets import __version__
from guichets.constat import chapters, wording
from guichets.constat.attempts import DeskFacts
from guichets.constat.contents import Contents
from guichets.constat.criterion import Verdict
from guichets.constat.gallery import gallery
from guichets.errors import GuichetsError
from guichets.french import PARIS

LONGEST_KEY = 40  # characters of a counter's key at the head of a sheet
STANDARDS: list[Literal["a-3a", "ua-1"]] = ["a-3a", "ua-1"]


class DocumentFailed(GuichetsError):
    """The PDF could not be made."""


def write_pdf(contents: Contents, pages: Path, place: Path, scratch: Path) -> None:
    """Write ``constat.pdf``; ``pages``: where the pictures are. Raises DocumentFailed."""
    told = _told(contents, pages)
    for shot in told["shots"]:
        if shot["picture"]:
            source = pages / shot["picture"]
            (scratch / shot["picture"]).write_bytes(source.read_bytes())
    place.write_bytes(_typeset("constat.typ", "data.json", told, contents.created, scratch))


def write_cover(contents: Contents, reference: str | None, manifest: str, place: Path, scratch: Path) -> None:
    """Write the cover, which names the case and the manifest's hash. Raises DocumentFailed."""
    told = {
        "title": "Constat d'observation d'un guichet",
        "author": f"Guichets {__version__}",
        "created": _day_parts(contents.created),
        "reference": wording.printable(reference) if reference else None,
        "lines": [
            wording.printable(f"{contents.desk.label} — {contents.desk.office}"),
            wording.printable(f"{wording.desk_name(contents.desk)} · {contents.desk.url}"),
            chapters.period(contents.days),
            f"Établi le {wording.when(contents.created)} (heure de Paris)",
        ],
        "manifest": manifest,
    }
    place.write_bytes(_typeset("couverture.typ", "couverture.json", told, contents.created, scratch))


def _typeset(template: str, name: str, told: Mapping[str, Any], created: datetime, scratch: Path) -> bytes:
    import typst  # 30 MB of engine, for this command alone

    (scratch / name).write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    source = scratch / template
    source.write_bytes(files("guichets.constat").joinpath(template).read_bytes())
    try:
        return typst.compile(
            str(source),
            root=str(scratch),
            ignore_system_fonts=True,  # the same document on every machine
            pdf_standards=[*STANDARDS],
            timestamp=int(created.timestamp()),
        )
    except typst.TypstError as problem:
        raise DocumentFailed(f"{template}: the PDF cannot be made ({str(problem).splitlines()[0]})") from None


def _told(contents: Contents, pages: Path) -> dict[str, Any]:
    verdict = {
        "met": contents.judgement.verdict is Verdict.MET,
        "title": wording.verdict_title(contents.judgement),
        "sentence": wording.verdict_sentence(contents.judgement),
        "facts": chapters.verdict_facts(contents.judgement),
    }
    told = {
        "title": "Constat d'observation d'un guichet de rendez-vous en ligne",
        "author": f"Guichets {__version__}",
        "keywords": ["Guichets", contents.desk.id, f"donnees-sha256:{contents.data}"],
        "created": _day_parts(contents.created),
        "version": __version__,
        "data": contents.data,
        "desk_id": _short_name(contents.desk),
        "period": chapters.period(contents.days),
        "period_short": f"{contents.days.first:%d/%m/%Y} – {contents.days.last:%d/%m/%Y}",
        "desk": chapters.desk_facts(contents),
        "url": contents.desk.url,
        "url_links": contents.desk.url.startswith(("http://", "https://")),
        "question": wording.QUESTION,
        "verdict": verdict,
        "warnings": contents.warnings,
        "totals": chapters.totals(contents),
        "method": wording.METHOD,
        "rule": wording.RULE,
        **chapters.weeks(contents),
        "stretch": chapters.stretch(contents.stretch),
        **chapters.gaps(contents),
        **chapters.comparison(contents),
        **gallery(contents, pages),
        **chapters.errata(contents),
        "limits": wording.LIMITS,
        "verification": chapters.verification(contents),
        "attempts_note": (
            "Le numéro de la tentative est celui de sa preuve dans observations.csv et dans le dossier "
            "preuves. "
            f"{len(contents.attempts)} lignes."
        ),
        "attempts": list(chapters.attempts(contents)),
    }
    printable: dict[str, Any] = _printable(told)
    return printable


def _short_name(desk: DeskFacts) -> str:
    """What stands at the head of every sheet."""
    if desk.counter_key is None:
        return desk.id
    key = desk.counter_key
    return f"{desk.id}, sous-choix {key if len(key) <= LONGEST_KEY else key[:LONGEST_KEY] + '…'}"


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return wording.printable(value)
    if isinstance(value, Mapping):
        return {key: _printable(inside) for key, inside in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(inside) for inside in value]
    return value


def _day_parts(instant: datetime) -> dict[str, int]:
    local = instant.astimezone(PARIS)
    return {"year": local.year, "month": local.month, "day": local.day}
