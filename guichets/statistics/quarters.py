"""Everything that is said of a quarter: desks, offices, départements, procedures, families, the country."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TypeVar

from guichets.statistics.comparison import Difference, Verdict, Weeks, compare, judge, weeks_of
from guichets.statistics.delays import Delay, Duration, delay_of, duration_of, together
from guichets.statistics.figures import Figures, days_of, desk_figures, group_figures
from guichets.statistics.observatory import DeskFacts, Observatory, Rules, months_of
from guichets.statistics.periods import Quarter

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskQuarter:
    """One desk in one quarter."""

    desk: DeskFacts
    figures: Figures
    first: Delay | None
    second: Delay | None
    duration: Duration | None
    weeks: Weeks | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupQuarter:
    """Several desks in one quarter."""

    desks: tuple[DeskQuarter, ...]
    figures: Figures
    first: Delay | None
    second: Delay | None

    @property
    def seen_enough(self) -> int:
        return sum(one.figures.sufficient for one in self.desks)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A quarter against an earlier one: what changed, and the verdict on it."""

    against: Quarter
    places: Mapping[str, Difference]
    place_verdicts: Mapping[str, Verdict]
    desks: Mapping[str, Difference]
    desk_verdicts: Mapping[str, Verdict]

    def places_with(self, verdict: Verdict) -> list[str]:
        return [code for code, told in self.place_verdicts.items() if told is verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarterReport:
    """One quarter."""

    quarter: Quarter
    until: date  # the last day that is counted
    desks: Mapping[str, DeskQuarter]
    places: Mapping[str, GroupQuarter]  # by département, those that have desks
    country: GroupQuarter
    by_procedure: Mapping[str, GroupQuarter]
    by_family: Mapping[str, GroupQuarter]
    by_office: Mapping[tuple[str, str], GroupQuarter]  # by département and office
    previous: Comparison | None = None  # None: that quarter is not known, or this one is not over
    year_before: Comparison | None = None

    @property
    def is_over(self) -> bool:
        return self.until >= self.quarter.last


@dataclass(slots=True)
class Reports:
    """Quarters, each made once."""

    observatory: Observatory
    rules: Rules
    _made: dict[Quarter, QuarterReport] = field(default_factory=dict)
    _compared: dict[Quarter, QuarterReport] = field(default_factory=dict)

    def of(self, quarter: Quarter) -> QuarterReport:
        """The report of a quarter, with its comparisons."""
        if quarter not in self._compared:
            self._compared[quarter] = self._with_comparisons(quarter)
        return self._compared[quarter]

    def _with_comparisons(self, quarter: Quarter) -> QuarterReport:
        bare = self._bare(quarter)
        if not bare.is_over:
            return bare
        known = set(self.observatory.quarters())
        before, year_before = (
            self._compare(bare, self._bare(other)) if other in known else None
            for other in (quarter.before, quarter.year_before)
        )
        return replace(bare, previous=before, year_before=year_before)

    def _bare(self, quarter: Quarter) -> QuarterReport:
        if quarter not in self._made:
            self._made[quarter] = _build(self.observatory, self.rules, quarter)
        return self._made[quarter]

    def _compare(self, now: QuarterReport, then: QuarterReport) -> Comparison:
        desks = {
            name: compare(_weeks([then.desks.get(name)]), _weeks([one])) for name, one in now.desks.items()
        }
        places = {
            code: compare(_weeks(then.places[code].desks if code in then.places else ()), _weeks(group.desks))
            for code, group in now.places.items()
        }
        false_alarms = self.rules.false_alarms
        return Comparison(
            then.quarter, places, judge(places, false_alarms), desks, judge(desks, false_alarms)
        )


def _weeks(desks: Sequence[DeskQuarter | None]) -> dict[str, Weeks]:
    return {one.desk.id: one.weeks for one in desks if one is not None and one.weeks is not None}


def _build(observatory: Observatory, rules: Rules, quarter: Quarter) -> QuarterReport:
    desks = {}
    for desk in observatory.desks.values():
        one = _desk_quarter(desk, quarter, rules)
        if one is not None:
            desks[desk.id] = one
    until = min(quarter.last, observatory.published_until or quarter.first)
    return QuarterReport(
        quarter=quarter,
        until=until,
        desks=desks,
        places=_grouped(desks, quarter, rules, lambda desk: desk.departement),
        country=group_quarter(tuple(desks.values()), quarter, rules),
        by_procedure=_grouped(desks, quarter, rules, lambda desk: desk.procedure),
        by_family=_grouped(desks, quarter, rules, lambda desk: desk.family),
        by_office=_grouped(desks, quarter, rules, lambda desk: (desk.departement, desk.office)),
    )


def _desk_quarter(desk: DeskFacts, quarter: Quarter, rules: Rules) -> DeskQuarter | None:
    days = days_of(desk.days, quarter)
    if not days:
        return None
    return DeskQuarter(
        desk=desk,
        figures=desk_figures(days, quarter, rules.floor),
        first=delay_of(_in_quarter(desk.first_delays, quarter), rules.delay_limit_days),
        second=delay_of(_in_quarter(desk.second_delays, quarter), rules.delay_limit_days),
        duration=duration_of(desk.openings.get(quarter.first, [])),
        weeks=weeks_of(days, quarter, rules.floor),
    )


def group_quarter(desks: tuple[DeskQuarter, ...], quarter: Quarter, rules: Rules) -> GroupQuarter:
    """These desks together."""
    limit = rules.delay_limit_days
    return GroupQuarter(
        desks=desks,
        figures=group_figures([one.figures for one in desks], rules.floor),
        first=delay_of(together(_in_quarter(one.desk.first_delays, quarter) for one in desks), limit),
        second=delay_of(together(_in_quarter(one.desk.second_delays, quarter) for one in desks), limit),
    )


def _grouped(
    desks: Mapping[str, DeskQuarter], quarter: Quarter, rules: Rules, key: Callable[[DeskFacts], Key]
) -> dict[Key, GroupQuarter]:
    members: dict[Key, list[DeskQuarter]] = {}
    for one in desks.values():
        members.setdefault(key(one.desk), []).append(one)
    return {name: group_quarter(tuple(group), quarter, rules) for name, group in members.items()}


def _in_quarter(by_month: Mapping[date, Mapping[int, int]], quarter: Quarter) -> dict[int, int]:
    return together(by_month.get(month, {}) for month in months_of(quarter))
