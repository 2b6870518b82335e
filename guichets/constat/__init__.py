"""The constat: what a lawyer can put before the judge about one desk, and anybody can verify."""

from guichets.constat.build import Built, Order, build_constat
from guichets.constat.comparison import compare
from guichets.constat.criterion import Verdict, judge
from guichets.constat.gather import gather, last_day_told, read_days, weeks_of_desks, whole_weeks
from guichets.constat.package import check_free, zip_of
from guichets.constat.wacz import read_key

__all__ = [
    "Built",
    "Order",
    "Verdict",
    "build_constat",
    "check_free",
    "compare",
    "gather",
    "judge",
    "last_day_told",
    "read_days",
    "read_key",
    "weeks_of_desks",
    "whole_weeks",
    "zip_of",
]
