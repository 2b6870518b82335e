"""The five kinds of statement of a quarter's press release, as La Cimade made them in July 2017.

coverage      how many départements and desks the robot could tell of
never         where no appointment was ever offered
worse         where the situation became worse
late          where the first date was too far away
alternatives  which offices impose internet, and which let people ask otherwise

Every statement carries the list it counts, so that a reader can count again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from guichets.statistics.comparison import Verdict
from guichets.statistics.observatory import Observatory, Rules
from guichets.statistics.quarters import Comparison, DeskQuarter, QuarterReport

EXAMPLES = 3  # of each kind, in the summary of a quarter


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence in both languages, what it counts, and the rows it counts."""

    kind: str
    french: str
    english: str
    places: tuple[str, ...]  # départements it names, by code
    desks: tuple[str, ...] = ()
    offices: tuple[tuple[str, str], ...] = ()  # département and office


@dataclass(frozen=True, slots=True)
class OfficeChannels:
    """How one can ask an office for an appointment during a quarter."""

    departement: str
    office: str
    imposes_internet: bool
    others: tuple[str, ...]  # phone, mail, post, counter
    since: date | None


def statements_of(report: QuarterReport, observatory: Observatory, rules: Rules) -> list[Statement]:
    """The statements on a quarter, compared with the same one a year before, else with the one before it."""
    told = [_coverage(report), _never(report)]
    against = report.year_before or report.previous
    if against is not None:
        told += [_changed(report, against, Verdict.WORSE), _changed(report, against, Verdict.BETTER)]
    told.append(_late(report, rules))
    told.append(_alternatives(report, observatory))
    return told


def covered(report: QuarterReport) -> list[str]:
    """Départements of which at least one desk was seen enough."""
    return [code for code, group in sorted(report.places.items()) if group.seen_enough]


def never_offered(report: QuarterReport) -> list[str]:
    """Départements of which desks were seen enough and none of these ever offered anything."""
    return [
        code
        for code, group in sorted(report.places.items())
        if group.seen_enough
        and all(one.figures.never_offered for one in group.desks if one.figures.sufficient)
    ]


def late(report: QuarterReport, rules: Rules) -> list[str]:
    """Départements where half of the first dates, at least, were further away than the limit."""
    return [
        code
        for code, group in sorted(report.places.items())
        if group.first is not None and group.first.median > rules.delay_limit_days
    ]


def office_channels(observatory: Observatory, report: QuarterReport) -> list[OfficeChannels]:
    """How each office the catalogue tells of can be asked, during the quarter."""
    by_office: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in observatory.channels:
        starts = row["valid_from"] or date.min
        if starts <= report.quarter.last and (row["valid_to"] or date.max) >= report.quarter.first:
            by_office.setdefault((row["departement"], row["office"]), []).append(row)
    found = []
    for (code, office), rows in sorted(by_office.items()):
        others = sorted({row["channel"] for row in rows} - {"online"})
        exclusive = any(row["channel"] == "online" and row["exclusive"] for row in rows)
        dates = [row["valid_from"] for row in rows if row["valid_from"]]
        found.append(
            OfficeChannels(code, office, exclusive and not others, tuple(others), min(dates, default=None))
        )
    return found


def examples_of(report: QuarterReport, verdict: Verdict) -> list[str]:
    """The départements with that verdict whose availability moved furthest: a rule, not a choice."""
    against = report.year_before or report.previous
    if against is None:
        return []
    moved = [
        (abs((against.places[code].after or 0) - (against.places[code].before or 0)), code)
        for code in against.places_with(verdict)
    ]
    return [code for _, code in sorted(moved, key=lambda one: (-one[0], one[1]))[:EXAMPLES]]


def longest_dry(report: QuarterReport) -> list[DeskQuarter]:
    """The desks that went longest without any offer."""
    known = [one for one in report.desks.values() if one.figures.longest_without_days]
    return sorted(known, key=lambda one: (-(one.figures.longest_without_days or 0), one.desk.id))[:EXAMPLES]


def _coverage(report: QuarterReport) -> Statement:
    places = covered(report)
    desks = tuple(one.desk.id for one in report.desks.values() if one.figures.sufficient)
    probes = report.country.figures.counts.probes
    return Statement(
        "coverage",
        f"Au {_name(report, 'fr')}, le robot a pu conclure sur {_many(len(desks), 'guichet')} de préfecture "
        f"dans {_many(len(places), 'département')}, en {_thousands(probes)} visites.",
        f"In {_name(report, 'en')}, the robot could tell of {_count(len(desks), 'desk')} in "
        f"{_count(len(places), 'département')}, from {probes:,} visits.",
        tuple(places),
        desks,
    )


def _never(report: QuarterReport) -> Statement:
    places = never_offered(report)
    desks = tuple(one.desk.id for one in report.desks.values() if one.figures.never_offered)
    where = f"Dans {_many(len(places), 'département')}, aucun rendez-vous n'a jamais été proposé"
    if not places:
        where = "Il n'est pas de département où aucun rendez-vous n'ait jamais été proposé"
    return Statement(
        "never",
        f"{where} de tout le trimestre par les guichets visités ; {_many(len(desks), 'guichet')} en France "
        f"{'sont' if len(desks) > 1 else 'est'} dans ce cas.",
        f"In {_count(len(places), 'département')}, no appointment was ever offered during the whole "
        "quarter; this "
        f"is so of {_count(len(desks), 'desk')} in the country.",
        tuple(places),
        desks,
    )


def _changed(report: QuarterReport, against: Comparison, verdict: Verdict) -> Statement:
    places = sorted(against.places_with(verdict))
    compared = sum(told is not Verdict.INSUFFICIENT for told in against.place_verdicts.values())
    french, english = (
        ("s'est aggravée", "became worse")
        if verdict is Verdict.WORSE
        else ("s'est améliorée", "became better")
    )
    return Statement(
        str(verdict),
        f"Par rapport au {quarter_name(against.against, 'fr')}, la situation "
        + (
            f"{french} dans {_many(len(places), 'département')} sur {compared} comparables."
            if places
            else f"ne {french} dans aucun des {compared} départements comparables."
        ),
        f"Compared with {quarter_name(against.against, 'en')}, the situation {english} in "
        f"{_count(len(places), 'département')} out of {compared} that can be compared.",
        tuple(places),
        tuple(sorted(name for name, told in against.desk_verdicts.items() if told is verdict)),
    )


def _late(report: QuarterReport, rules: Rules) -> Statement:
    places = late(report, rules)
    return Statement(
        "late",
        f"{'Dans ' + _many(len(places), 'département') if places else 'Il n’est pas de département où'}"
        f"{',' if places else ''} quand un rendez-vous est proposé, la première date "
        f"{'est' if places else 'soit'} "
        f"le plus souvent à plus de {rules.delay_limit_days} jours.",
        f"In {_count(len(places), 'département')}, when an appointment is offered, the first date is "
        "mostly more "
        f"than {rules.delay_limit_days} days away.",
        tuple(places),
        tuple(
            one.desk.id
            for one in report.desks.values()
            if one.first is not None and one.first.median > rules.delay_limit_days
        ),
    )


def _alternatives(report: QuarterReport, observatory: Observatory) -> Statement:
    offices = office_channels(observatory, report)
    imposing = [one for one in offices if one.imposes_internet]
    others = [one for one in offices if one.others]
    return Statement(
        "alternatives",
        f"{_many(len(imposing), 'service')} {'imposent' if len(imposing) > 1 else 'impose'} internet, sans "
        f"autre moyen connu ; {_many(len(others), 'service')} "
        f"{'acceptent' if len(others) > 1 else 'accepte'} aussi "
        "le téléphone, le courrier ou le guichet.",
        f"{_count(len(imposing), 'office')} {'impose' if len(imposing) > 1 else 'imposes'} internet, with "
        "no other "
        f"way known; {_count(len(others), 'office')} also {'take' if len(others) > 1 else 'takes'} "
        "telephone, mail "
        "or counter.",
        _codes(imposing),
        offices=tuple((one.departement, one.office) for one in [*imposing, *others]),
    )


def quarter_name(quarter: Any, language: str) -> str:
    if language == "fr":
        return f"{'1er' if quarter.number == 1 else f'{quarter.number}e'} trimestre {quarter.year}"
    return f"quarter {quarter.number} of {quarter.year}"


def _name(report: QuarterReport, language: str) -> str:
    return quarter_name(report.quarter, language)


def _codes(offices: Iterable[OfficeChannels]) -> tuple[str, ...]:
    return tuple(sorted({one.departement for one in offices}))


def _many(number: int, word: str) -> str:
    return f"{_thousands(number)} {word}{'s' if number > 1 else ''}"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def desks_named(report: QuarterReport, names: Sequence[str]) -> list[DeskQuarter]:
    """The desks of a statement, in the order of the report."""
    wanted = set(names)
    return [one for name, one in report.desks.items() if name in wanted]
