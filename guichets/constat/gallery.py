"""The pages that a constat shows: each with its address, its hour and its hash, pictures once each."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Any

from guichets.constat import wording
from guichets.constat.contents import Contents
from guichets.constat.pages import Shot, alt_of
from guichets.constat.sentences import CONVERSATION
from guichets.french import OUTCOMES

LONGEST_PICTURE_MM = 120.0  # of a page of 297: what is longer is cut, and said
_WIDTH_MM = 170


def gallery(contents: Contents, pages: Path) -> dict[str, Any]:
    shots = []
    first_of: dict[str, int] = {}
    for place, shot in enumerate(contents.shots, start=1):
        attempt = shot.attempt
        repeated = first_of.setdefault(shot.name, place)
        picture = f"{shot.name}.png" if shot.name in contents.pictures and repeated == place else None
        height, is_cut = _height_of(pages / picture) if picture else (None, False)
        caption = _caption(contents, shot, is_cut=is_cut, repeated=repeated if repeated != place else None)
        shots.append(
            {
                "heading": f"Page {place} : tentative n° {attempt.number}, {OUTCOMES[attempt.outcome]}",
                "facts": [
                    ("Adresse", shot.url),
                    ("Vue le", f"{wording.when(shot.at)} (heure de Paris), {_what_it_is(shot)}"),
                    ("Phrase", attempt.sentence or "–"),
                    ("Provenance", _provenance(shot)),
                    *_photograph(shot),
                ],
                "url_length": len(shot.url),
                "sha256": shot.sha256,
                "picture": picture,
                "height": height,
                "alt": alt_of(shot),
                "caption": caption,
            }
        )
    photographed = [shot.photograph is not None for shot in contents.shots]
    note = "La première, la dernière, une par semaine et chaque message différent."
    if not all(photographed):
        note += (
            " Chacune est dessinée à partir de l'archive seule, réseau coupé, sans exécuter de script ; "
            "sessions, jetons et poignées de créneaux sont effacés."
        )
    if any(photographed):
        note += (
            " Les photographies furent prises pendant les visites, car ce guichet ne montre rien sans "
            "exécuter ses scripts : rien n'en est dessiné après coup."
        )
    note += (
        " Une image n'est montrée qu'une fois. Toutes les pages jointes sont dans archive.wacz, "
        "que ReplayWeb.page ouvre."
    )
    if contents.no_pictures:
        lacking = "Des images manquent" if contents.pictures else "Pas d'images"
        note = f"{lacking} : {contents.no_pictures} Le texte des pages est dans le dossier pages. {note}"
    if contents.shots_left_out:
        note += f" {contents.shots_left_out} autres pages choisies ne sont pas montrées, faute de place."
    if not contents.shots:
        note = "Aucune page archivée ne peut être montrée pour cette période."
    return {"pages_note": note, "shots": shots}


def _what_it_is(shot: Shot) -> str:
    if shot.was_drawn:
        return "ce que la page montrait dans un navigateur"
    if shot.status == CONVERSATION:
        return "messages d'une conversation WebSocket"
    return f"réponse HTTP {shot.status}"


def _photograph(shot: Shot) -> list[tuple[str, str]]:
    if shot.photograph is None:
        return []
    return [("Photographie", f"SHA-256 {hashlib.sha256(shot.photograph).hexdigest()}")]


def _provenance(shot: Shot) -> str:
    copy = "copie exacte" if shot.is_exact else "copie dont les jetons sont effacés"
    given = "page donnée par une personne" if shot.attempt.is_contributed else "visite du robot"
    return f"{given} ; {copy}"


def _caption(contents: Contents, shot: Shot, *, is_cut: bool, repeated: int | None) -> str:
    if repeated is not None:
        return f"Identique, à l'œil, à la page {repeated} : elle n'est montrée qu'une fois."
    if shot.name not in contents.pictures:
        return f"Texte de la page : pages/{shot.name}.{shot.ending}"
    said = [f"Tentative n° {shot.attempt.number}, {shot.name}.png.", *contents.pictures[shot.name]]
    if is_cut:
        said.append("Le haut de la page ; l'image entière est dans le dossier pages.")
    return " ".join(said)


def _height_of(picture: Path) -> tuple[float | None, bool]:
    """The height in millimetres at which it is cut, if it is."""
    with picture.open("rb") as stream:
        width, height = struct.unpack(">II", stream.read(24)[16:24])
    is_cut = _WIDTH_MM * height / width > LONGEST_PICTURE_MM
    return (LONGEST_PICTURE_MM if is_cut else None), is_cut
