"""The chapters of a constat: its facts in French words and rows, as the document lays them out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from guichets import __version__
from guichets.catalogue import PROCEDURES
from guichets.constat import wording
from guichets.constat.attempts import PROVED, Column, Days, Standing
from guichets.constat.contents import Contents
from guichets.constat.criterion import Judgement
from guichets.constat.watching import LONGEST_BLIND, LONGEST_PAUSE, Stretch
from guichets.french import OUTCOMES, day_in_words

_COLUMNS = {
    Column.OFFERED: "avec offre",
    Column.NONE: "aucun",
    Column.CLOSED: "fermé",
    Column.FAILING: "panne",
    Column.CAPTCHA: "captcha",
    Column.REFUSED: "refus",
    Column.OTHER: "autre",
}
Rows = list[list[str]]
Facts = list[tuple[str, str]]


def desk_facts(contents: Contents) -> list[tuple[str, str]]:
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
        ("Période", f"{period(contents.days)} ({contents.days.count} jours, heure de Paris)"),
        ("Établi", f"le {wording.when(contents.created)} (heure de Paris), par Guichets {__version__}"),
    ]


def totals(contents: Contents) -> list[tuple[str, str]]:
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


def verdict_facts(judgement: Judgement) -> list[tuple[str, str]]:
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


def weeks(contents: Contents) -> dict[str, Any]:
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


def stretch(stretch: Stretch | None) -> str:
    if stretch is None:
        return "Aucune tentative sans date n'a été prouvée pendant la période."
    return (
        f"Du {wording.when(stretch.since)} au {wording.when(stretch.until)} : "
        f"{wording.lasting(stretch.length)}, "
        f"{stretch.attempts} tentatives, toutes sans date. Le plus long écart entre deux d'entre elles est "
        "de "
        f"{wording.lasting(stretch.longest_pause)} ; au-delà de {LONGEST_BLIND.days} jours sans réponse "
        "sur les "
        "dates, la période serait interrompue. Une panne, un captcha ou un refus survenus entre deux "
        "tentatives ne l'interrompent pas et ne la prolongent pas."
    )


def gaps(contents: Contents) -> dict[str, Any]:
    hours = round(LONGEST_PAUSE.total_seconds() / 3600)
    total = sum((gap.length for gap in contents.gaps), timedelta())
    note = (
        f"Aucune : jamais plus de {hours} heures sans une tentative de notre part."
        if not contents.gaps
        else f"{len(contents.gaps)} fois, plus de {hours} heures se sont passées sans tentative de notre "
        "part "
        f"(en tout {wording.lasting(total)}). Pendant ce temps, nous ne savons pas ce que le guichet "
        "proposait."
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


def comparison(contents: Contents) -> dict[str, Any]:
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


def errata(contents: Contents) -> dict[str, Any]:
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
        else "Une règle de lecture était fausse : ces pages ont été relues. L'ancienne observation reste "
        "dans "
        "l'archive ; c'est la nouvelle qui compte dans ce document."
    )
    lines = [
        f"Erratum du {wording.when(one.at)} : {one.parser_from} → {one.parser_to}. {one.note or ''}".strip()
        for one in contents.errata
    ]
    return {"errata_note": note, "corrections": rows, "errata": lines}


def verification(contents: Contents) -> list[str]:
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


def attempts(contents: Contents) -> Any:
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


def period(days: Days) -> str:
    return f"du {day_in_words(days.first)} au {day_in_words(days.last)}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %".replace(".", ",")
