"""The data files of a constat: observations as CSV, and what proves each of them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from guichets.constat.attempts import Attempt, Standing
from guichets.constat.proofs import Proof
from guichets.evidence.scrub import scrub_text
from guichets.evidence.seal import HEADER, Seal
from guichets.evidence.timestamp import timestamp_path
from guichets.french import DAYS, OUTCOMES, PARIS

STANDINGS: Mapping[Standing, str] = {
    Standing.SEALED: "scellée",
    Standing.UNSEALED: "archivée, jour non scellé",
    Standing.PRUNED: "retirée après sa durée de garde",
    Standing.BROKEN: "rompue",
    Standing.ELSEWHERE: "dans l'archive d'une autre machine",
    Standing.UNARCHIVED: "jamais archivée",
}
ORIGINS = {"baseline": "visite régulière", "watch": "visite supplémentaire", "contributed": "page donnée"}
HEADINGS = (
    *("numero", "observation", "date_heure_paris", "jour", "semaine_iso", "instant_utc", "resultat"),
    *("resultat_en_mots", "phrase", "regle", "lecteur", "origine", "premiere_date", "seconde_date", "http"),
    *("preuve", "remplace"),
)
FOLDER = "preuves"


def row_of(attempt: Attempt) -> list[str]:
    """An attempt as its line of ``observations.csv``."""
    local = attempt.at.astimezone(PARIS)
    year, week, _ = local.isocalendar()
    return [
        str(attempt.number),
        str(attempt.id),
        local.isoformat(),
        DAYS[local.weekday()],
        f"{year}-W{week:02}",
        attempt.at.isoformat(),
        str(attempt.outcome),
        OUTCOMES[attempt.outcome],
        attempt.sentence or "",
        attempt.rule,
        attempt.parser,
        ORIGINS[attempt.purpose],
        attempt.first_slot or "",
        attempt.second_slot or "",
        "" if attempt.http_status is None else str(attempt.http_status),
        STANDINGS[attempt.standing],
        "" if attempt.corrects is None else str(attempt.corrects),
    ]


def observations_csv(attempts: Iterable[Attempt]) -> bytes:
    """UTF-8 with its mark and semicolons, as the spreadsheets of French offices open it."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\n")
    writer.writerow(HEADINGS)
    for attempt in attempts:
        writer.writerow([_harmless(cell) for cell in row_of(attempt)])
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def _harmless(cell: str) -> str:
    """No sentence of a web site becomes a formula of a spreadsheet."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


@dataclass(slots=True)
class ProofFiles:
    """Collects rows, notes and inclusion proofs, attempt by attempt."""

    family: str
    _rows: list[str] = field(default_factory=list)
    _inclusions: list[str] = field(default_factory=list)
    _notes: bytearray = field(default_factory=bytearray)
    withheld: int = 0  # rows whose text is not given out
    last_day: date = date.min  # UTC, of the notes: corrections and given pages are archived later

    def add(self, number: int, observation: str, proof: Proof, *, personal: bool, coming: bool) -> None:
        """``personal``: a person gave the page; ``coming``: the row tells of slots that may still be free."""
        why = self._withheld(proof, personal=personal, coming=coming)
        self.withheld += why is not None
        row = {
            "numero": number,
            "observation": observation,
            "ligne": None if why else proof.row_text,
            "retenue": why,
        }
        self._rows.append(_line(row))
        if proof.note is None:
            return
        inclusion = proof.inclusion
        if inclusion is not None:
            self.last_day = max(self.last_day, inclusion.day)
        self._inclusions.append(
            _line(
                {
                    "numero": number,
                    "position": len(self._notes),
                    "fichier": proof.note.file,
                    "octet": proof.note.offset,
                    "longueur": len(proof.note.member),
                    "sha256": proof.note.digest,
                    "jour": inclusion.day.isoformat() if inclusion else None,
                    "rang": inclusion.index if inclusion else None,
                    "enregistrements": inclusion.records if inclusion else None,
                    "chemin": list(inclusion.path) if inclusion else None,
                }
            )
        )
        self._notes += proof.note.member

    def _withheld(self, proof: Proof, *, personal: bool, coming: bool) -> str | None:
        if proof.note is None:
            return "aucune note archivée"
        if personal:
            return "page donnée par une personne"
        if coming:
            return "créneaux qui peuvent être encore libres"
        if scrub_text(proof.row_text, self.family) != proof.row_text:
            return "adresse avec un jeton de session"
        return None

    def files(self, home: Path, seals: list[Seal]) -> dict[str, bytes]:
        """By name: rows, notes, inclusions, the chain of seals from the first day on, its time-stamps."""
        found = {
            f"{FOLDER}/lignes.jsonl": "".join(self._rows).encode(),
            f"{FOLDER}/inclusions.jsonl": "".join(self._inclusions).encode(),
            f"{FOLDER}/notes.warc.gz": bytes(self._notes),
            f"{FOLDER}/seals.txt": (HEADER + "".join(f"{seal.line()}\n" for seal in seals)).encode(),
        }
        for seal in seals:
            stamp = timestamp_path(home, seal.day)
            if stamp.exists():
                found[f"{FOLDER}/horodatages/{seal.day}.tsr"] = stamp.read_bytes()
        return found


def _line(fields: Mapping[str, object]) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")) + "\n"
