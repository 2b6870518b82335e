"""The open data: tables, their rows from what may be published, and what each column means in both languages.

The site links to the same rows: a figure and its row are made from one object.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from guichets.statistics.comparison import Difference, Verdict
from guichets.statistics.delays import Delay
from guichets.statistics.facts import Counts
from guichets.statistics.figures import TRIES, Figures, days_of, desk_figures
from guichets.statistics.observatory import DeskFacts
from guichets.statistics.periods import Month, Week
from guichets.statistics.quarters import Comparison, GroupQuarter, QuarterReport, Reports

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    type: str  # of Frictionless: string, integer, number, boolean, date
    french: str
    english: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the open data."""

    name: str
    french: str
    english: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    rows: Callable[[Reports], Iterator[Row]]
    refers: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # column -> table and column


def _text(name: str, french: str, english: str, *, required: bool = False) -> Column:
    return Column(name, "string", french, english, required)


def _count(name: str, french: str, english: str) -> Column:
    return Column(name, "integer", french, english)


def _share(name: str, french: str, english: str) -> Column:
    return Column(name, "number", french + " (de 0 à 1)", english + " (from 0 to 1)")


def _day(name: str, french: str, english: str) -> Column:
    return Column(name, "date", french, english)


_DESK = _text("desk", "Identifiant stable du guichet.", "Stable id of the desk.", required=True)
_PLACE = _text(
    "departement",
    "Code INSEE du département ; 99 pour les consulats.",
    "INSEE code of the département; 99 for consulates.",
    required=True,
)
_OFFICE = _text("office_id", "Identifiant stable du service.", "Stable id of the office.", required=True)
_QUARTER = _text("quarter", "Trimestre, 2026-Q3.", "Quarter, 2026-Q3.", required=True)
_UNTIL = _day("until", "Dernier jour compté.", "Last day that is counted.")

_COUNTS = (
    _count("slots_due", "Tranches de base échues.", "Baseline slots that were over."),
    _count("observed", "Tranches dont la sonde a dit quelque chose.", "Slots whose probe said something."),
    _count("offered", "Sondes : au moins un créneau.", "Probes: at least one slot."),
    _count("none", "Sondes : rien de libre.", "Probes: nothing free."),
    _count("closed", "Sondes : fermé par l'administration.", "Probes: switched off by the administration."),
    _count("open", "Sondes : démarche ouverte sans créneaux.", "Probes: procedure open, without slots."),
    _count("moved", "Sondes : démarche déplacée.", "Probes: procedure moved elsewhere."),
    _count("captcha", "Sondes : arrêtées par un captcha.", "Probes: stopped by a captcha."),
    _count("blocked", "Sondes : refusées.", "Probes: refused."),
    _count("overloaded", "Sondes : service surchargé.", "Probes: service overloaded."),
    _count("unreachable", "Sondes : pas de réponse.", "Probes: no answer."),
    _count("gone", "Sondes : formulaire disparu.", "Probes: form gone."),
    _count("unrecognised", "Sondes : page inconnue.", "Probes: unknown page."),
)
_FIGURES = (
    _count("slots_due", "Tranches de base échues.", "Baseline slots that were over."),
    _count("rated", "Sondes qui comptent dans la disponibilité.", "Probes that count in availability."),
    _count("offered", "Sondes qui ont trouvé un créneau.", "Probes that found a slot."),
    _share("coverage", "Couverture", "Coverage"),
    Column("sufficient", "boolean", "Assez observé ?", "Seen enough?"),
    _share("availability", "Disponibilité ; vide si insuffisant", "Availability; empty if insufficient"),
    _share("availability_low", "Borne basse à 95 %", "Lower bound at 95 %"),
    _share("availability_high", "Borne haute à 95 %", "Upper bound at 95 %"),
    _share("time_share", "Part du temps avec une offre", "Share of time with an offer"),
    _share("time_share_low", "Borne basse à 95 %", "Lower bound at 95 %"),
    _share("time_share_high", "Borne haute à 95 %", "Upper bound at 95 %"),
    _share("barrier", "Captchas et refus", "Captchas and refusals"),
    _share("dysfunction", "Pannes", "Failures"),
    _share("closed_share", "Fermé par l'administration", "Switched off by the administration"),
    Column("never_offered", "boolean", "Jamais aucune offre ?", "Never any offer?"),
    _count(
        "longest_without_days", "Jours de suite sans offre, au plus.", "Most days in a row without an offer."
    ),
    *(
        _share(
            f"chance_{tries}",
            f"Chance de trouver en {tries} essais par semaine",
            f"Chance with {tries} tries a week",
        )
        for tries in TRIES
    ),
)
_DELAYS = (
    _count(
        "first_median", "Délai de la première date : médiane, en jours.", "Days to the first date: median."
    ),
    _count(
        "first_p90", "Délai que 9 sondes sur 10 ne dépassent pas.", "Days that 9 probes in 10 do not exceed."
    ),
    _share(
        "first_late", "Part des premières dates au-delà de la limite", "Share of first dates beyond the limit"
    ),
    _count("second_median", "Délai de la deuxième date : médiane.", "Days to the second date: median."),
    _count("second_p90", "Deuxième date : 9 sondes sur 10.", "Second date: 9 probes in 10."),
)


def office_id(departement: str, name: str) -> str:
    """A stable id of an office, made of its name."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return f"{departement.lower()}-{re.sub('[^a-z0-9]+', '-', plain).strip('-')[:80] or 'service'}"


def counts_row(counts: Counts) -> Row:
    return {column.name: getattr(counts, column.name) for column in _COUNTS}


def figures_row(figures: Figures) -> Row:
    shares = {"availability": figures.availability, "time_share": figures.share_of_time}
    row: Row = {
        "slots_due": figures.counts.slots_due,
        "rated": figures.counts.rated,
        "offered": figures.counts.offered,
        "coverage": _rounded(figures.coverage),
        "sufficient": figures.sufficient,
        "barrier": _rounded(figures.barrier),
        "dysfunction": _rounded(figures.dysfunction),
        "closed_share": _rounded(figures.closed),
        "never_offered": figures.never_offered if figures.sufficient else None,
        "longest_without_days": figures.longest_without_days,
    }
    for name, share in shares.items():
        row[name] = _rounded(share.value if share else None)
        row[f"{name}_low"] = _rounded(share.low if share else None)
        row[f"{name}_high"] = _rounded(share.high if share else None)
    for tries in TRIES:
        row[f"chance_{tries}"] = _rounded(figures.chances.get(tries))
    return row


def _delays_row(first: Delay | None, second: Delay | None) -> Row:
    return {
        "first_median": first.median if first else None,
        "first_p90": first.p90 if first else None,
        "first_late": _rounded(first.beyond if first else None),
        "second_median": second.median if second else None,
        "second_p90": second.p90 if second else None,
    }


def day_rows(desks: Iterable[DeskFacts]) -> Iterator[Row]:
    """The daily rows of some desks: those behind every figure."""
    for desk in desks:
        for entry in desk.days:
            yield {
                "desk": desk.id,
                "day": entry.day,
                **counts_row(entry.counts),
                "gap_minutes": " ".join(map(str, entry.counts.gap_minutes)) or None,
            }


def _departements(reports: Reports) -> Iterator[Row]:
    for place in reports.observatory.places.values():
        yield {
            "departement": place.code,
            "name": place.name,
            "region": place.region,
            "published_until": place.published_until,
        }


def _offices(reports: Reports) -> Iterator[Row]:
    desks = ((desk.departement, desk.office) for desk in reports.observatory.desks.values())
    channels = ((row["departement"], row["office"]) for row in reports.observatory.channels)
    for departement, name in sorted({*desks, *channels}):
        yield {"office_id": office_id(departement, name), "departement": departement, "name": name}


def _desks(reports: Reports) -> Iterator[Row]:
    for desk in reports.observatory.desks.values():
        names = ("departement", "procedure", "family", "label", "url", "valid_from", "valid_to", "moved_to")
        yield {
            "desk": desk.id,
            "office_id": office_id(desk.departement, desk.office),
            **{name: getattr(desk, name) for name in (*names, "source", "observed_since", "observed_until")},
        }


def _channels(reports: Reports) -> Iterator[Row]:
    for row in reports.observatory.channels:
        names = ("departement", "procedure", "channel", "exclusive", "valid_from", "valid_to", "source")
        yield {
            "office_id": office_id(row["departement"], row["office"]),
            **{name: row[name] for name in names},
        }


def _days(reports: Reports) -> Iterator[Row]:
    return day_rows(reports.observatory.desks.values())


def _each_quarter(reports: Reports) -> Iterator[QuarterReport]:
    for quarter in reports.observatory.quarters():
        yield reports.of(quarter)


def desk_quarter_rows(report: QuarterReport) -> Iterator[Row]:
    for one in report.desks.values():
        yield {
            "desk": one.desk.id,
            "quarter": str(report.quarter),
            "until": report.until,
            **figures_row(one.figures),
            **_delays_row(one.first, one.second),
            "openings": one.duration.openings if one.duration else None,
            "opening_at_least_minutes": one.duration.at_least_minutes if one.duration else None,
            "opening_at_most_minutes": one.duration.at_most_minutes if one.duration else None,
        }


def _desk_quarters(reports: Reports) -> Iterator[Row]:
    for report in _each_quarter(reports):
        yield from desk_quarter_rows(report)


def _desk_months(reports: Reports) -> Iterator[Row]:
    for desk in reports.observatory.desks.values():
        for first in sorted({entry.day.replace(day=1) for entry in desk.days}):
            month = Month(first)
            days = days_of(desk.days, month)
            yield {
                "desk": desk.id,
                "month": str(month),
                "until": days[-1].day,
                **figures_row(desk_figures(days, month, reports.rules.floor)),
            }


def _desk_weeks(reports: Reports) -> Iterator[Row]:
    for desk in reports.observatory.desks.values():
        for first in sorted({entry.day - timedelta(days=entry.day.weekday()) for entry in desk.days}):
            week = Week(first)
            days = days_of(desk.days, week)
            yield {
                "desk": desk.id,
                "week": str(week),
                "until": days[-1].day,
                **figures_row(desk_figures(days, week, reports.rules.floor)),
            }


def group_row(group: GroupQuarter) -> Row:
    return {
        "desks": len(group.desks),
        "desks_seen_enough": group.seen_enough,
        **figures_row(group.figures),
        **_delays_row(group.first, group.second),
    }


def _group_quarters(reports: Reports) -> Iterator[Row]:
    for report in _each_quarter(reports):
        common = {"quarter": str(report.quarter), "until": report.until}
        yield {"scope": "country", "name": "FR", **common, **group_row(report.country)}
        groups: list[tuple[str, Mapping[Any, GroupQuarter]]] = [
            ("departement", report.places),
            ("procedure", report.by_procedure),
            ("family", report.by_family),
            ("office", {office_id(*name): group for name, group in report.by_office.items()}),
        ]
        for scope, members in groups:
            for name, group in sorted(members.items()):
                yield {"scope": scope, "name": name, **common, **group_row(group)}


def comparison_rows(report: QuarterReport) -> Iterator[Row]:
    """Each comparison of a quarter, so that anybody may judge again."""
    told: list[tuple[str, Comparison | None]] = [
        ("previous", report.previous),
        ("year_before", report.year_before),
    ]
    for kind, comparison in told:
        if comparison is None:
            continue
        scopes: list[tuple[str, Mapping[str, Difference], Mapping[str, Verdict]]] = [
            ("departement", comparison.places, comparison.place_verdicts),
            ("desk", comparison.desks, comparison.desk_verdicts),
        ]
        for scope, differences, verdicts in scopes:
            for name, difference in sorted(differences.items()):
                yield {
                    "scope": scope,
                    "name": name,
                    "quarter": str(report.quarter),
                    "against": str(comparison.against),
                    "kind": kind,
                    "desks": difference.desks,
                    "before": _rounded(difference.before),
                    "after": _rounded(difference.after),
                    "chance": _rounded(difference.chance, 9),
                    "verdict": str(verdicts[name]),
                }


def _comparisons(reports: Reports) -> Iterator[Row]:
    for report in _each_quarter(reports):
        yield from comparison_rows(report)


def _releases(reports: Reports) -> Iterator[Row]:
    for row in reports.observatory.releases:
        first = row["quarter"]
        yield {**row, "quarter": f"{first.year}-Q{(first.month + 2) // 3}"}


def _errata(reports: Reports) -> Iterator[Row]:
    for row in reports.observatory.errata:
        yield {
            **{name: row[name] for name in ("day", "parser_from", "parser_to", "observations", "note")},
            "id": str(row["id"]),
            "outcomes": json.dumps(row["outcomes"], ensure_ascii=False),
            "desks": " ".join(row["desks"] or ()) or None,
            "figures": json.dumps(row["figures"], ensure_ascii=False),
        }


def _rounded(value: float | None, digits: int = 6) -> float | None:
    return None if value is None else round(value, digits)


TABLES: tuple[Table, ...] = (
    Table(
        "departements",
        "Les départements, et jusqu'à quel jour leurs chiffres sont publiés.",
        "The départements, and until which day their figures are published.",
        (
            _PLACE,
            _text("name", "Nom.", "Name."),
            _text("region", "Région.", "Region."),
            _day("published_until", "Dernier jour publié.", "Last day published."),
        ),
        ("departement",),
        _departements,
    ),
    Table(
        "services",
        "Préfectures, sous-préfectures, mairies et consulats.",
        "Préfectures, sous-préfectures, mairies and consulates.",
        (_OFFICE, _PLACE, _text("name", "Nom.", "Name.")),
        ("office_id",),
        _offices,
        {"departement": ("departements", "departement")},
    ),
    Table(
        "guichets",
        "Les formulaires publics de rendez-vous, passés et présents.",
        "Public booking forms, past and present.",
        (
            _DESK,
            _PLACE,
            _OFFICE,
            _text("procedure", "Démarche, d'une liste fermée.", "Procedure, from a closed list."),
            _text("family", "Plateforme de rendez-vous.", "Booking platform."),
            _text("label", "Intitulé.", "Label."),
            _text("url", "Adresse publique.", "Public address."),
            _day("valid_from", "Connu depuis.", "Known from."),
            _day("valid_to", "Connu jusqu'à.", "Known until."),
            _text("moved_to", "Déplacé vers.", "Moved to."),
            _text("source", "D'où le guichet est connu.", "Where the desk is known from."),
            _day("observed_since", "Au catalogue depuis.", "In the catalogue since."),
            _day("observed_until", "Sorti du catalogue.", "Left the catalogue."),
        ),
        ("desk",),
        _desks,
        {"office_id": ("services", "office_id"), "departement": ("departements", "departement")},
    ),
    Table(
        "canaux",
        "Par quels moyens un rendez-vous se demande, avec dates et sources.",
        "How an appointment can be asked for, with dates and sources.",
        (
            _OFFICE,
            _PLACE,
            _text("procedure", "Démarche.", "Procedure."),
            _text(
                "channel", "online, phone, mail, post ou counter.", "online, phone, mail, post or counter."
            ),
            Column("exclusive", "boolean", "Seul moyen ?", "The only way?"),
            _day("valid_from", "Depuis.", "From."),
            _day("valid_to", "Jusqu'à.", "Until."),
            _text("source", "Source.", "Source."),
        ),
        (),
        _channels,
        {"office_id": ("services", "office_id")},
    ),
    Table(
        "guichets-jours",
        "Guichet et jour local : ce que les sondes de base ont trouvé.",
        "Desk and local day: what baseline probes found.",
        (
            _DESK,
            Column(
                "day",
                "date",
                "Jour, à l'heure du département.",
                "Day of the département's zone.",
                required=True,
            ),
            *_COUNTS,
            _text(
                "gap_minutes",
                "Minutes entre deux sondes consécutives dont une seule a trouvé une offre : pour "
                "recalculer l'intervalle.",
                "Minutes between two consecutive probes of which one found an offer: to compute the "
                "interval again.",
            ),
        ),
        ("desk", "day"),
        _days,
        {"desk": ("guichets", "desk")},
    ),
    Table(
        "guichets-semaines",
        "Guichet et semaine, du lundi au dimanche : les chiffres.",
        "Desk and week, Monday to Sunday: the figures.",
        (
            _DESK,
            _text("week", "Semaine ISO, 2026-W30.", "ISO week, 2026-W30.", required=True),
            _UNTIL,
            *_FIGURES,
        ),
        ("desk", "week"),
        _desk_weeks,
        {"desk": ("guichets", "desk")},
    ),
    Table(
        "guichets-mois",
        "Guichet et mois : les chiffres.",
        "Desk and month: the figures.",
        (_DESK, _text("month", "Mois, 2026-07.", "Month, 2026-07.", required=True), _UNTIL, *_FIGURES),
        ("desk", "month"),
        _desk_months,
        {"desk": ("guichets", "desk")},
    ),
    Table(
        "guichets-trimestres",
        "Guichet et trimestre : les chiffres.",
        "Desk and quarter: the figures.",
        (
            _DESK,
            _QUARTER,
            _UNTIL,
            *_FIGURES,
            *_DELAYS,
            _count("openings", "Ouvertures vues.", "Openings seen."),
            _count(
                "opening_at_least_minutes", "Leur durée médiane, au moins.", "Their median length, at least."
            ),
            _count(
                "opening_at_most_minutes", "Leur durée médiane, au plus.", "Their median length, at most."
            ),
        ),
        ("desk", "quarter"),
        _desk_quarters,
        {"desk": ("guichets", "desk")},
    ),
    Table(
        "groupes-trimestres",
        "Pays, départements, services, démarches et plateformes par trimestre.",
        "Country, départements, offices, procedures and platforms by quarter.",
        (
            _text(
                "scope",
                "country, departement, office, procedure ou family.",
                "What the group is.",
                required=True,
            ),
            _text("name", "Code ou nom du groupe.", "Code or name of the group.", required=True),
            _QUARTER,
            _UNTIL,
            _count("desks", "Guichets.", "Desks."),
            _count("desks_seen_enough", "Guichets assez observés.", "Desks seen enough."),
            *_FIGURES,
            *_DELAYS,
        ),
        ("scope", "name", "quarter"),
        _group_quarters,
    ),
    Table(
        "comparaisons",
        "Un trimestre contre un autre : les deux moyennes, la probabilité de l'écart, le verdict.",
        "A quarter against another: both means, the probability of the difference, the verdict.",
        (
            _text("scope", "departement ou desk.", "departement or desk.", required=True),
            _text("name", "Code ou identifiant.", "Code or id.", required=True),
            _QUARTER,
            _text("against", "Trimestre de comparaison.", "Quarter it is compared with."),
            _text("kind", "previous ou year_before.", "previous or year_before.", required=True),
            _count("desks", "Guichets comparés.", "Desks compared."),
            _share("before", "Disponibilité d'avant", "Availability before"),
            _share("after", "Disponibilité d'après", "Availability after"),
            _share(
                "chance",
                "Probabilité d'un tel écart si rien n'avait changé",
                "Probability if nothing changed",
            ),
            _text("verdict", "worse, better, same, insufficient.", "worse, better, same, insufficient."),
        ),
        ("scope", "name", "quarter", "kind"),
        _comparisons,
    ),
    Table(
        "ouvertures",
        "Quand commencent les ouvertures : jour de semaine et partie du jour, par département et trimestre.",
        "When openings begin: weekday and part of the day, by département and quarter.",
        (
            _PLACE,
            _QUARTER,
            Column("weekday", "integer", "Jour, 1 pour lundi.", "Weekday, 1 for Monday.", required=True),
            _text(
                "part",
                "night, morning, afternoon, evening.",
                "night, morning, afternoon, evening.",
                required=True,
            ),
            _count("openings", "Ouvertures.", "Openings."),
        ),
        ("departement", "quarter", "weekday", "part"),
        _releases,
    ),
    Table(
        "errata",
        "Corrections du passé.",
        "Corrections of the past.",
        (
            _text("id", "Identifiant.", "Id.", required=True),
            _day("day", "Jour de la correction.", "Day of the correction."),
            _text("parser_from", "Lecteurs d'avant.", "Readers before."),
            _text("parser_to", "Lecteurs d'après.", "Readers after."),
            _count("observations", "Observations corrigées.", "Observations corrected."),
            _text("outcomes", "De quoi vers quoi (JSON).", "From what to what (JSON)."),
            _text("desks", "Guichets touchés.", "Desks concerned."),
            _text(
                "figures", "Chiffres publiés qui ont bougé (JSON).", "Published figures that moved (JSON)."
            ),
            _text("note", "Pourquoi.", "Why."),
        ),
        ("id",),
        _errata,
    ),
)
"""Every table, referred ones first."""


def date_text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
