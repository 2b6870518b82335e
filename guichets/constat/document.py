"""The constat as a document: facts in words, laid out by ``constat.typ``, written as PDF/A by Typst."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from guichets import __version__
from guichets.catalogue import PROCEDURES
from guichets.constat import wording
from guichets.constat.attempts import PROVED, Attempt, Column, Days, DeskFacts, Standing
from guichets.constat.comparison import Compared
from guichets.constat.criterion import Judgement, Verdict
from guichets.constat.gather import Correction, Erratum
from guichets.constat.pages import Shot, alt_of
from guichets.constat.watching import LONGEST_BLIND, LONGEST_PAUSE, Gap, Stretch, WeekTally
from guichets.errors import GuichetsError
from guichets.evidence.seal import Seal
from guichets.french import OUTCOMES, PARIS, day_in_words

STANDARDS: list[Literal["a-3a", "ua-1"]] = ["a-3a", "ua-1"]
LONGEST_PICTURE_MM = 150  # of a page of 297: what is longer is cut, and said
_WIDTH_MM = 170
_COLUMNS = {
    Column.OFFERED: "avec offre",
    Column.NONE: "aucun",
    Column.CLOSED: "fermé",
    Column.FAILING: "panne",
    Column.CAPTCHA: "captcha",
    Column.REFUSED: "refus",
    Column.OTHER: "autre",
}


class DocumentFailed(GuichetsError):
    """The PDF could not be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """All that the document tells."""

    desk: DeskFacts
    days: Days
    created: datetime
    contact: str
    attempts: Sequence[Attempt]
    judgement: Judgement
    weeks: Sequence[WeekTally]
    gaps: Sequence[Gap]
    stretch: Stretch | None
    comparison: Sequence[Compared]
    shots: Sequence[Shot]
    shots_left_out: int
    pictures: Mapping[str, Sequence[str]]  # name of each page drawn -> what its reader must know
    no_pictures: str | None  # why there are none
    corrections: Sequence[Correction]
    errata: Sequence[Erratum]
    seals: Sequence[Seal]  # of the period
    stamped: int  # days of the period with a third party's time-stamp
    warnings: Sequence[str]
    data: str  # SHA-256 of all data files


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
        "author": _author(contents),
        "created": _day_parts(contents.created),
        "reference": wording.printable(reference) if reference else None,
        "lines": [
            wording.printable(f"{contents.desk.label} — {contents.desk.office}"),
            wording.printable(f"{contents.desk.id} · {contents.desk.url}"),
            _period(contents.days),
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
        "facts": _verdict_facts(contents.judgement),
    }
    told = {
        "title": "Constat d'observation d'un guichet de rendez-vous en ligne",
        "author": _author(contents),
        "keywords": ["Guichets", contents.desk.id, f"donnees-sha256:{contents.data}"],
        "created": _day_parts(contents.created),
        "version": __version__,
        "data": contents.data,
        "desk_id": contents.desk.id,
        "period": _period(contents.days),
        "period_short": f"{contents.days.first:%d/%m/%Y} – {contents.days.last:%d/%m/%Y}",
        "desk": _desk_facts(contents),
        "url": contents.desk.url,
        "url_links": contents.desk.url.startswith(("http://", "https://")),
        "question": wording.QUESTION,
        "verdict": verdict,
        "warnings": contents.warnings,
        "totals": _totals(contents),
        "method": wording.METHOD,
        "rule": wording.RULE,
        **_weeks(contents),
        "stretch": _stretch(contents.stretch),
        **_gaps(contents),
        **_comparison(contents),
        **_shots(contents, pages),
        **_errata(contents),
        "limits": wording.LIMITS,
        "verification": _verification(contents),
        "attempts_note": (
            "Le numéro de la tentative est celui de sa preuve dans observations.csv et dans le dossier "
            "preuves. "
            f"{len(contents.attempts)} lignes."
        ),
        "attempts": list(_attempts(contents)),
    }
    printable: dict[str, Any] = _printable(told)
    return printable


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return wording.printable(value)
    if isinstance(value, Mapping):
        return {key: _printable(inside) for key, inside in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(inside) for inside in value]
    return value


def _desk_facts(contents: Contents) -> list[tuple[str, str]]:
    desk = contents.desk
    found = [
        ("Guichet", f"{desk.label} ({desk.id})"),
        ("Service", desk.office),
        ("Département", f"{desk.departement_name} ({desk.departement})"),
        ("Démarche", PROCEDURES.get(desk.procedure, desk.procedure)),
        ("Plateforme", desk.family),
    ]
    if desk.counter_key is not None:
        found.append(("Sous-choix", f"{desk.counter_label or 'sans nom'} ({desk.counter_key})"))
    if desk.valid_to is not None:
        found.append(("En service jusqu'au", day_in_words(desk.valid_to)))
    if desk.moved_to is not None:
        found.append(("Démarche déplacée", desk.moved_to))
    return [
        *found,
        ("Période", f"{_period(contents.days)} ({contents.days.count} jours, heure de Paris)"),
        ("Établi", f"le {wording.when(contents.created)} (heure de Paris), par Guichets {__version__}"),
    ]


def _totals(contents: Contents) -> list[tuple[str, str]]:
    columns = [attempt.column for attempt in contents.attempts if not attempt.is_contributed]
    ours = columns.count(Column.OURS)
    found = [("Tentatives", str(len(columns) - ours))]
    found += [(f"— {word}", str(columns.count(column))) for column, word in _COLUMNS.items()]
    if ours:
        found.append(("Défaillances de notre côté", f"{ours} (elles ne sont pas des tentatives)"))
    given = sum(attempt.is_contributed for attempt in contents.attempts)
    if given:
        found.append(("Pages données", f"{given} (par des personnes ; comptées à part)"))
    proved = sum(attempt.standing in PROVED for attempt in contents.attempts)
    sealed = sum(attempt.standing is Standing.SEALED for attempt in contents.attempts)
    found.append(("Prouvées", f"{proved} sur {len(contents.attempts)} lignes, dont {sealed} sous sceau"))
    return found


def _verdict_facts(judgement: Judgement) -> list[tuple[str, str]]:
    def listed(weeks: Sequence[Any]) -> str:
        return " ; ".join(wording.week_in_words(monday) for monday in weeks) or "aucune"

    apart = judgement.apart
    return [
        ("Semaines sans date", f"{len(judgement.weeks_without)} : {listed(judgement.weeks_without)}"),
        ("Semaines avec offre", f"{len(judgement.weeks_with_offer)} : {listed(judgement.weeks_with_offer)}"),
        ("Tentatives sans date", f"{judgement.attempts} au cours des semaines sans date"),
        ("Première", wording.when(judgement.first) if judgement.first else "–"),
        ("Dernière", wording.when(judgement.last) if judgement.last else "–"),
        ("Écart", wording.lasting(apart) if apart is not None else "–"),
    ]


def _weeks(contents: Contents) -> dict[str, Any]:
    rows = []
    for week in contents.weeks:
        year, number, _ = week.monday.isocalendar()
        rows.append(
            [
                f"{year}-S{number:02}",
                f"{week.first:%d/%m} – {week.last:%d/%m}",
                str(week.attempts),
                *[str(week.columns[column]) for column in _COLUMNS],
                wording.lasting(week.blind) if week.blind else "–",
            ]
        )
    return {
        "weeks_note": (
            "Nombre de tentatives du robot par semaine civile, selon ce que le site a répondu. Les "
            "colonnes ne s'additionnent jamais entre elles : « aucun » et « fermé » sont des réponses du "
            "site ; « panne » (en panne, surchargé ou injoignable), « captcha » et « refus » (notre "
            "visite refusée) ne disent rien des dates ; « autre » : page non reconnue, démarche déplacée, "
            "sans indication de créneau ou disparue. « Non vu » : durée des interruptions de notre veille "
            "dans la semaine. Les pages données par des personnes n'y sont pas."
        ),
        "weeks_headings": ["Semaine", "Jours", "Tentatives", *_COLUMNS.values(), "non vu"],
        "weeks": rows,
    }


def _stretch(stretch: Stretch | None) -> str:
    if stretch is None:
        return "Aucune tentative sans date n'a été prouvée pendant la période."
    return (
        f"Du {wording.when(stretch.since)} au {wording.when(stretch.until)} : {wording.lasting(stretch.length)}, "
        f"{stretch.attempts} tentatives, toutes sans date. Le plus long écart entre deux d'entre elles est de "
        f"{wording.lasting(stretch.longest_pause)} ; au-delà de {LONGEST_BLIND.days} jours sans réponse sur les "
        "dates, la période serait interrompue. Une panne, un captcha ou un refus survenus entre deux "
        "tentatives ne l'interrompent pas et ne la prolongent pas."
    )


def _gaps(contents: Contents) -> dict[str, Any]:
    hours = round(LONGEST_PAUSE.total_seconds() / 3600)
    total = sum((gap.length for gap in contents.gaps), timedelta())
    note = (
        f"Aucune : jamais plus de {hours} heures sans une tentative de notre part."
        if not contents.gaps
        else f"{len(contents.gaps)} fois, plus de {hours} heures se sont passées sans tentative de notre part "
        f"(en tout {wording.lasting(total)}). Pendant ce temps, nous ne savons pas ce que le guichet proposait."
    )
    rows = [
        [
            "début de la période" if gap.since == contents.days.since else wording.when(gap.since),
            "fin de la période" if gap.until == contents.days.until else wording.when(gap.until),
            wording.lasting(gap.length),
        ]
        for gap in contents.gaps
    ]
    return {"gaps_note": note, "gaps": rows}


def _comparison(contents: Contents) -> dict[str, Any]:
    rows = []
    for one in contents.comparison:
        share = one.figures.availability
        rows.append(
            [
                one.name,
                str(one.desks),
                "insuffisant" if share is None else _percent(share.value),
                "–" if share is None else f"{_percent(share.low)} – {_percent(share.high)}",
                _percent(one.figures.coverage),
                _percent(one.figures.dysfunction),
                _percent(one.figures.barrier),
            ]
        )
    note = (
        "Mêmes jours (ceux de chaque département, à son heure), mêmes définitions que les chiffres "
        "publiés (docs/methodology.md) : seules comptent les visites régulières du robot. Disponibilité : "
        "visites qui ont trouvé au moins un créneau, sur celles auxquelles le guichet a répondu. « "
        "Insuffisant » : trop peu vu pour conclure ; ce n'est ni zéro, ni bon."
    )
    if contents.desk.counter_key is not None:
        note += " Les chiffres publiés sont ceux du guichet entier, tous sous-choix ensemble."
    return {
        "comparison_note": note if rows else "Les chiffres publiés n'ont pas pu être lus.",
        "comparison_headings": [
            *("", "Guichets", "Disponibilité", "Intervalle à 95 %", "Couverture", "Pannes", "Barrières")
        ],
        "comparison": rows,
    }


def _shots(contents: Contents, pages: Path) -> dict[str, Any]:
    shots = []
    first_of: dict[str, int] = {}
    for place, shot in enumerate(contents.shots, start=1):
        attempt = shot.attempt
        repeated = first_of.setdefault(shot.name, place)
        picture = f"{shot.name}.png" if shot.name in contents.pictures and repeated == place else None
        height, is_cut = _height_of(pages / picture) if picture else (0.0, False)
        caption = _caption(contents, shot, is_cut=is_cut, repeated=repeated if repeated != place else None)
        shots.append(
            {
                "heading": f"Page {place} : tentative n° {attempt.number}, {OUTCOMES[attempt.outcome]}",
                "facts": [
                    ("Adresse", shot.url),
                    ("Vue le", f"{wording.when(shot.at)} (heure de Paris), réponse HTTP {shot.status}"),
                    ("Phrase", attempt.sentence or "–"),
                    ("Provenance", _provenance(shot)),
                    ("SHA-256", "de la page telle que reçue :"),
                ],
                "sha256": shot.sha256,
                "picture": picture,
                "height": height,
                "alt": alt_of(shot),
                "caption": caption,
            }
        )
    note = (
        "La première, la dernière, une par semaine et chaque message différent. Chacune est dessinée à "
        "partir de l'archive seule, réseau coupé, sans exécuter de script ; sessions, jetons et poignées "
        "de créneaux sont effacés. Des pages identiques ne sont dessinées qu'une fois. Toutes les pages "
        "jointes sont dans archive.wacz, que ReplayWeb.page ouvre."
    )
    if contents.no_pictures:
        note = f"Pas d'images : {contents.no_pictures} Le texte des pages est dans le dossier pages. {note}"
    if contents.shots_left_out:
        note += f" {contents.shots_left_out} autres pages choisies ne sont pas montrées, faute de place."
    if not contents.shots:
        note = "Aucune page archivée ne peut être montrée pour cette période."
    return {"pages_note": note, "shots": shots}


def _provenance(shot: Shot) -> str:
    copy = "copie exacte" if shot.is_exact else "copie dont les jetons sont effacés"
    given = "page donnée par une personne" if shot.attempt.is_contributed else "visite du robot"
    return f"{given} ; {copy}"


def _caption(contents: Contents, shot: Shot, *, is_cut: bool, repeated: int | None) -> str:
    if repeated is not None:
        return f"Identique, à l'œil, à la page {repeated} : elle n'est dessinée qu'une fois."
    if shot.name not in contents.pictures:
        return f"Texte de la page : pages/{shot.name}.{shot.ending}"
    said = [f"Tentative n° {shot.attempt.number}, {shot.name}.png.", *contents.pictures[shot.name]]
    if is_cut:
        said.append("Le haut de la page ; l'image entière est dans le dossier pages.")
    return " ".join(said)


def _height_of(picture: Path) -> tuple[float, bool]:
    """Millimetres it takes at full width, and whether it is cut."""
    with picture.open("rb") as stream:
        width, height = struct.unpack(">II", stream.read(24)[16:24])
    wanted = _WIDTH_MM * height / width
    return min(wanted, LONGEST_PICTURE_MM), wanted > LONGEST_PICTURE_MM


def _errata(contents: Contents) -> dict[str, Any]:
    numbers = {attempt.id: attempt.number for attempt in contents.attempts}
    rows = [
        [
            f"n° {numbers[one.newer_id]}" if one.newer_id in numbers else wording.when(one.at),
            OUTCOMES[one.said],
            OUTCOMES[one.says],
            f"{one.parser_from} → {one.parser_to}",
        ]
        for one in contents.corrections
    ]
    note = (
        "Aucune tentative de la période n'a été relue."
        if not rows
        else "Une règle de lecture était fausse : ces pages ont été relues. L'ancienne observation reste dans "
        "l'archive ; c'est la nouvelle qui compte dans ce document."
    )
    lines = [
        f"Erratum du {wording.when(one.at)} : {one.parser_from} → {one.parser_to}. {one.note or ''}".strip()
        for one in contents.errata
    ]
    return {"errata_note": note, "corrections": rows, "errata": lines}


def _verification(contents: Contents) -> list[str]:
    sealed = f"{contents.seals[0].day} au {contents.seals[-1].day}" if contents.seals else None
    return [
        f"Établi automatiquement par le logiciel libre Guichets, version {__version__}, "
        f"pour {contents.contact}.",
        "Sur n'importe quelle machine qui a Python : « python verify.py », dans ce dossier. Le programme "
        "ne lit que ces fichiers et dit, en français et en anglais, ce qui tient, ce qui ne tient pas et "
        "ce qu'il ne peut pas vérifier ; LISEZMOI.txt l'explique en dix lignes.",
        f"Jours scellés de la période (UTC) : {len(contents.seals)}"
        + (f", du {sealed}. Horodatés par un tiers : {contents.stamped}." if sealed else "."),
        "Un sceau ne vaut que si on le retrouve ailleurs que chez nous : dans la liste publiée, ou daté "
        "par un tiers. Qui aurait tout réécrit de notre côté avant de publier ne serait pas démasqué par "
        "ces fichiers.",
    ]


def _attempts(contents: Contents) -> Any:
    """The rows of the large table; gaps stand where they fall."""
    gaps = {gap.until: gap for gap in contents.gaps}
    if contents.gaps and contents.gaps[0].since == contents.days.since:
        yield [
            "",
            "début de la période",
            f"aucune tentative : {wording.lasting(contents.gaps[0].length)}",
            "",
        ]
    for attempt in contents.attempts:
        gap = gaps.get(attempt.at) if attempt.is_ours else None
        if gap is not None and gap.since != contents.days.since:
            yield ["", "interruption", f"aucune tentative : {wording.lasting(gap.length)}", ""]
        slots = " ; ".join(slot for slot in (attempt.first_slot, attempt.second_slot) if slot)
        offered = f" · premières dates : {slots}" if slots else ""
        yield [
            str(attempt.number),
            wording.when(attempt.at),
            f"{OUTCOMES[attempt.outcome]}{wording.mark_of(attempt)}",
            f"{attempt.sentence or '–'}{offered}",
        ]
    if contents.gaps and contents.gaps[-1].until == contents.days.until:
        yield ["", "fin de la période", f"aucune tentative : {wording.lasting(contents.gaps[-1].length)}", ""]


def _period(days: Days) -> str:
    return f"du {day_in_words(days.first)} au {day_in_words(days.last)}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %".replace(".", ",")


def _author(contents: Contents) -> str:
    return f"Guichets {__version__}"


def _day_parts(instant: datetime) -> dict[str, int]:
    local = instant.astimezone(PARIS)
    return {"year": local.year, "month": local.month, "day": local.day}
