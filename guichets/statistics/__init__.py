"""What can be said of desks, and how sure it is: the core of site and open data, without a clock."""

from guichets.statistics.bulletin import Statement, statements_of
from guichets.statistics.observatory import (
    Observatory,
    Rules,
    bring_up_to_date,
    read_days_between,
    read_observatory,
    rules_in_force,
)
from guichets.statistics.periods import Quarter, Span, read_quarter
from guichets.statistics.quarters import QuarterReport, Reports

__all__ = [
    "Observatory",
    "Quarter",
    "QuarterReport",
    "Reports",
    "Rules",
    "Span",
    "Statement",
    "bring_up_to_date",
    "read_days_between",
    "read_observatory",
    "read_quarter",
    "rules_in_force",
    "statements_of",
]
