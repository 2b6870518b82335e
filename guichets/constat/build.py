"""Builds a constat: looks for the proof of each attempt, judges, draws, writes, packs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives.asymmetric import ec

from guichets.catalogue import departements
from guichets.constat.attempts import Attempt, Standing
from guichets.constat.comparison import Compared
from guichets.constat.contents import Contents
from guichets.constat.criterion import judge, weeks_seen
from guichets.constat.document import write_cover, write_pdf
from guichets.constat.gather import Gathered
from guichets.constat.package import COVER, REPORT, data_hash, drafting, hashes_of, publish, write_manifest
from guichets.constat.pages import (
    Choice,
    Shot,
    Showcase,
    draw_all,
    is_coming,
    list_of_pages,
    photograph_of,
    reading_copy,
    write_photographs,
)
from guichets.constat.proofs import ProofFinder
from guichets.constat.sentences import Read, Sentences
from guichets.constat.tables import ProofFiles, observations_csv
from guichets.constat.wacz import WaczWriter
from guichets.constat.watching import gaps_of, longest_without, tallies_of
from guichets.constat.wording import desk_name, when
from guichets.evidence.errors import EvidenceError
from guichets.evidence.reader import ArchivedPage
from guichets.evidence.timestamp import timestamp_path
from guichets.french import OUTCOMES, PARIS
from guichets.outcomes import Outcome
from guichets.shown import Part, page_of, parts_of

_LEFT_OUT = " Elles ne comptent pas comme tentatives sans date."

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for besides the facts."""

    out: Path
    home: Path
    now: datetime
    read: Read  # the family's reader
    browser: Path | None  # None: no pictures
    no_browser: str | None  # why there is none, in one line
    key: ec.EllipticCurvePrivateKey | None
    reference: str | None  # of the case
    contact: str


@dataclass(frozen=True, slots=True)
class Built:
    """What was written."""

    contents: Contents
    manifest: str  # SHA-256 of the manifest


@dataclass(slots=True)
class _Work:
    attempts: list[Attempt] = field(default_factory=list)
    choice: Choice = field(default_factory=Choice)
    parts: dict[str, Mapping[str, Part]] = field(default_factory=dict)
    kept_back: int = 0  # attempts whose pages show slots that are still to come


def build_constat(
    gathered: Gathered, comparison: Sequence[Compared], order: Order, progress: Progress
) -> Built:
    """Write the folder and the ZIP. Raises SealError when the chain of seals itself does not hold."""
    finder = ProofFinder(order.home)
    with drafting(order.out) as draft:
        pages = draft / "pages"
        pages.mkdir()
        proofs = ProofFiles(gathered.desk.family)
        title = f"{desk_name(gathered.desk)}, {gathered.days.first} – {gathered.days.last}"
        wacz = WaczWriter(draft / "archive.wacz", created=order.now, title=title)
        work = _look_up(gathered, order, finder, proofs, wacz, progress)
        wacz.close(order.key)
        shots, left_out = work.choice.chosen()
        pictures, no_pictures = _draw(shots, work.parts, order, pages, progress)
        for shot in shots:
            (pages / f"{shot.name}.{shot.ending}").write_bytes(reading_copy(shot))
        (pages / "index.html").write_bytes(list_of_pages(shots, pictures, title))
        last_day = max(gathered.days.until.date(), proofs.last_day)
        seals = [seal for seal in finder.seals if seal.day <= last_day]
        proof_files = proofs.files(order.home, seals)
        for name, content in {
            **proof_files,
            "observations.csv": observations_csv(work.attempts),
            "verify.py": files("guichets.constat").joinpath("verify.py").read_bytes(),
            "LISEZMOI.txt": files("guichets.constat").joinpath("LISEZMOI.txt").read_bytes(),
        }.items():
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            (draft / name).write_bytes(content)
        progress("le document", 0, 1)
        within = [
            seal for seal in seals if gathered.days.since.date() <= seal.day <= gathered.days.until.date()
        ]
        gaps = gaps_of(work.attempts, gathered.days)
        contents = Contents(
            desk=gathered.desk,
            days=gathered.days,
            created=order.now,
            contact=order.contact,
            attempts=work.attempts,
            judgement=judge(weeks_seen(work.attempts, gathered.offers_beside)),
            weeks=tallies_of(work.attempts, gathered.days, gaps),
            gaps=gaps,
            stretch=longest_without(work.attempts),
            comparison=comparison,
            shots=shots,
            shots_left_out=left_out,
            pictures=pictures,
            no_pictures=no_pictures,
            corrections=gathered.corrections,
            errata=gathered.errata,
            seals=within,
            stamped=sum(timestamp_path(order.home, seal.day).exists() for seal in within),
            warnings=_warnings(gathered, work, no_pictures, has_pictures=bool(pictures)),
            data=data_hash(hashes_of(draft)),
        )
        scratch = draft / ".typst"
        scratch.mkdir()
        write_pdf(contents, pages, draft / REPORT, scratch)
        for path in scratch.iterdir():
            path.unlink()
        scratch.rmdir()
        manifest = write_manifest(draft, gathered.desk, gathered.days, order.now)
        scratch.mkdir()
        write_cover(contents, order.reference, manifest, draft / COVER, scratch)
        for path in scratch.iterdir():
            path.unlink()
        scratch.rmdir()
        publish(draft, order.out)
    progress("le document", 1, 1)
    return Built(contents, manifest)


def _look_up(
    gathered: Gathered,
    order: Order,
    finder: ProofFinder,
    proofs: ProofFiles,
    wacz: WaczWriter,
    progress: Progress,
) -> _Work:
    """Attempt by attempt: its proof, its pages, its sentence. Pages are let go of at once."""
    sentences = Sentences(order.read)
    showcase = Showcase(gathered.desk.family, sentences, order.now)
    zone = departements()[gathered.desk.departement].zone
    work = _Work()
    total = len(gathered.rows)
    for number, row in enumerate(gathered.rows, start=1):
        progress("les preuves", number - 1, total)
        proof = finder.find(row)
        decisive = showcase.decisive(row, proof)
        slots = _slots(row)
        # an offer whose dates could not be read may be free still
        is_undated = row["outcome"] == Outcome.OFFERED and not slots
        coming = is_undated or any(is_coming(slot, order.now) for slot in slots)
        sentence = None
        if decisive is not None:
            sentence = _sentence(sentences, decisive[1])
        attempt = _attempt(number, row, proof.standing, proof.why, sentence, zone, order.now)
        work.attempts.append(attempt)
        proofs.add(number, str(row["id"]), proof, personal=row["contributor"] is not None, coming=coming)
        given = showcase.given(proof)
        if coming or len(given) < len(proof.pages):
            work.kept_back += 1
        if coming:
            continue
        for ref, archived in given:
            copy = showcase.copy(ref, archived)
            if copy is not None:
                wacz.add(copy, f"n° {number} · {when(attempt.at)} · {OUTCOMES[attempt.outcome]}")
        if decisive is not None and decisive in given and attempt.standing is not Standing.BROKEN:
            shot = showcase.shot(attempt, *decisive, photograph_of(given))
            if shot is not None:
                work.choice.offer(shot)
                if row["contributor"] is not None and shot.name not in work.parts:
                    # only pages that persons gave come with their style sheets and images
                    work.parts[shot.name] = parts_of(finder.reader, order.home, *decisive)
    progress("les preuves", total, total)
    return work


def _attempt(
    number: int,
    row: Mapping[str, Any],
    standing: Standing,
    why: str | None,
    sentence: str | None,
    zone: ZoneInfo,
    now: datetime,
) -> Attempt:
    return Attempt(
        number=number,
        id=UUID(str(row["id"])),
        at=row["observed_at"].astimezone(UTC),
        outcome=Outcome(row["outcome"]),
        rule=row["rule"],
        parser=row["parser"],
        purpose=row["purpose"],
        standing=standing,
        why=why,
        sentence=sentence,
        first_slot=_told(row["first_slot"], row["slot_has_time"], zone, now),
        second_slot=_told(row["second_slot"], row["slot_has_time"], zone, now),
        http_status=row["http_status"],
        corrects=row["supersedes"],
    )


def _told(starts: datetime | None, has_time: bool | None, zone: ZoneInfo, now: datetime) -> str | None:
    """A date that was offered, once it is past: what may still be free is told to nobody."""
    if starts is None:
        return None
    if is_coming(starts, now):
        return "à venir, non montrée"
    local = starts.astimezone(zone)
    return f"{local:%d/%m/%Y}" if has_time is False else f"{local:%d/%m/%Y %H:%M}"


def _slots(row: Mapping[str, Any]) -> list[datetime | date]:
    starts: list[datetime | date] = [datetime.fromisoformat(text) for text, _ in row["slots"]]
    return starts + [slot for slot in (row["first_slot"], row["second_slot"]) if slot is not None]


def _sentence(sentences: Sentences, archived: ArchivedPage) -> str | None:
    try:
        return sentences.of(page_of(archived))
    except EvidenceError:
        return None  # it cannot be decoded: nobody has read it


def _draw(
    shots: Sequence[Shot],
    parts: Mapping[str, Mapping[str, Part]],
    order: Order,
    pages: Path,
    progress: Progress,
) -> tuple[dict[str, tuple[str, ...]], str | None]:
    """The pictures, or why there are none: a constat without pictures is one still, and says so."""
    from guichets.picture import PictureFailed

    taken = write_photographs(shots, pages)
    others = [shot for shot in shots if shot.photograph is None]
    if not others:
        return taken, None
    if order.browser is None:
        return taken, f"{order.no_browser or 'aucun navigateur'}."
    done = 0

    def one_more() -> None:
        nonlocal done
        done += 1
        progress("les images", done, len(others))

    try:
        return taken | draw_all(others, parts, order.browser, pages, one_more), None
    except PictureFailed as problem:
        for path in pages.glob("*.png"):
            if path.stem not in taken:
                path.unlink()
        return taken, f"le navigateur n'a pas pu les dessiner ({problem})."


def _warnings(gathered: Gathered, work: _Work, no_pictures: str | None, *, has_pictures: bool) -> list[str]:
    """What is missing, in plain words, on the first page."""
    said = []
    first = gathered.first_seen.astimezone(PARIS).date()
    if first > gathered.days.first:
        said.append(
            f"Ce guichet n'est observé que depuis le {first:%d/%m/%Y} : avant, ce document ne dit rien."
        )
    for standing, words in (
        (Standing.PRUNED, "n'ont plus leur preuve : l'archive l'a retirée après sa durée de garde"),
        (Standing.BROKEN, "ont une preuve rompue : ce que tient l'archive n'est plus ce qui fut archivé"),
        (Standing.UNSEALED, "sont d'un jour qui n'est pas encore scellé"),
        (Standing.ELSEWHERE, "sont archivées sur une autre machine, qui seule peut les prouver"),
        (Standing.UNARCHIVED, "n'ont jamais été archivées"),
    ):
        count = sum(attempt.standing is standing for attempt in work.attempts)
        if count:
            left_out = "" if standing is Standing.UNSEALED else _LEFT_OUT
            said.append(f"{count} lignes {words}.{left_out}")
    if work.kept_back:
        said.append(
            f"Les pages de {work.kept_back} tentatives ne sont pas jointes : elles montrent des créneaux qui "
            "peuvent être encore libres."
        )
    if gathered.offers_beside:
        said.append(
            f"{len(gathered.offers_beside)} fois, une date a été vue hors de la période, dans une semaine "
            "qu'elle entame : cette semaine n'est pas sans date."
        )
    if gathered.corrections:
        said.append(f"{len(gathered.corrections)} tentatives ont été relues : voir Corrections.")
    if no_pictures:
        lacking = "Des images de pages manquent" if has_pictures else "Pas d'images des pages"
        said.append(f"{lacking} : {no_pictures}")
    return said


def broken_lines(contents: Contents) -> list[str]:
    """One line for each attempt whose proof does not hold, for the screen."""
    return [
        f"n° {attempt.number}, {when(attempt.at)} : {attempt.why}"
        for attempt in contents.attempts
        if attempt.standing is Standing.BROKEN
    ]
