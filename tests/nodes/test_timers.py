"""Recurring jobs as units and crontab lines."""

from __future__ import annotations

import shlex
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from guichets.errors import ArgumentError
from guichets.nodes.timers import (
    MARK,
    Recurrence,
    complaints,
    quote_unit,
    read_every,
    render_crontab,
    render_service,
    render_timer,
    write_units,
)

WORDS = ["/bin/true", "schedule", "now", "--credentials", "/srv/50% off/a $HOME \"b\" 'c'\\d"]
HOME = {"GUICHETS_HOME": "/srv/guichets"}


def recurrence(every: timedelta = timedelta(minutes=15), **changes: object) -> Recurrence:
    return Recurrence(**{"every": every, "command": WORDS, "environment": HOME, **changes})  # type: ignore[arg-type]


def values(unit: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in unit.splitlines() if line.partition("=")[0] == key]


@pytest.mark.parametrize(
    ("text", "seconds"), [("15m", 900), ("15 min", 900), ("90s", 90), ("2h", 7200), ("1d", 86400)]
)
def test_interval_is_read_with_its_unit(text: str, seconds: int) -> None:
    assert read_every(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "15", "m", "-5m", "1.5h", "1w", "15m;reboot"])
def test_interval_without_a_known_unit_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match=r"^--every='.*': expected a time such as 15m, 2h or 1d$"):
        read_every(text)


@pytest.mark.parametrize("every", [timedelta(seconds=59), timedelta(0), timedelta(days=32)])
def test_interval_out_of_bounds_is_refused(every: timedelta) -> None:
    with pytest.raises(ArgumentError, match="between 1 minute and 31 days"):
        recurrence(every)


@pytest.mark.parametrize(
    ("every", "fields"),
    [
        ("1m", "* * * * *"),
        ("15m", "*/15 * * * *"),
        ("60m", "0 * * * *"),
        ("6h", "0 */6 * * *"),
        ("24h", "0 0 * * *"),
    ],
)
def test_cron_keeps_intervals_that_divide_the_hour_or_the_day(every: str, fields: str) -> None:
    line = render_crontab(recurrence(read_every(every))).splitlines()[-1]
    assert line.startswith(f"{fields} env GUICHETS_HOME=/srv/guichets /bin/true ")


@pytest.mark.parametrize("every", ["45m", "90s", "5h", "2d", "90m"])
def test_cron_is_not_given_an_interval_it_cannot_keep(every: str) -> None:
    with pytest.raises(ArgumentError, match=rf"^--every={every}: cron counts .*--format systemd knows any$"):
        render_crontab(recurrence(read_every(every)))


def test_words_reach_the_program_through_cron_unchanged() -> None:
    command = render_crontab(recurrence()).splitlines()[-1].split(" ", 5)[5]
    # what cron does before it hands the line to the shell
    assert shlex.split(command.replace(r"\%", "%")) == ["env", "GUICHETS_HOME=/srv/guichets", *WORDS]


def test_words_mean_nothing_to_systemd() -> None:
    assert quote_unit("plain/word=1,2:3@x") == "plain/word=1,2:3@x"
    assert quote_unit(WORDS[-1]) == '"/srv/50%% off/a $$HOME \\"b\\" \'c\'\\\\d"'
    with pytest.raises(ArgumentError, match="a unit file cannot hold this"):
        quote_unit("a\nExecStartPre=/bin/false")


def test_service_runs_once_as_the_owner_of_the_passwords() -> None:
    unit = render_service(recurrence(user="guichets"))
    assert values(unit, "Type") == ["oneshot"]
    assert values(unit, "User") == ["guichets"]
    assert values(unit, "Environment") == ["GUICHETS_HOME=/srv/guichets"]
    assert not values(render_service(recurrence()), "User")


def test_timer_counts_from_the_last_start() -> None:
    unit = render_timer(recurrence(timedelta(minutes=45)))
    assert values(unit, "OnUnitActiveSec") == ["2700s"]
    assert values(unit, "WantedBy") == ["timers.target"]


def test_written_units_please_systemd(tmp_path: Path) -> None:
    units = write_units(recurrence(command=["/bin/true", *WORDS[1:]], user="root"), tmp_path)
    assert [unit.name for unit in units] == ["guichets-schedule.service", "guichets-schedule.timer"]
    assert complaints(units) == []
    if shutil.which("systemd-analyze"):  # it does look: a broken one is told
        broken = units[0].read_text().replace("Type=oneshot", "Type=onesht")
        units[0].write_text(broken)
        assert any("onesht" in line for line in complaints(units))


def test_units_are_renewed_but_not_those_of_another(tmp_path: Path) -> None:
    first, timer = write_units(recurrence(), tmp_path)
    write_units(recurrence(timedelta(hours=1)), tmp_path)
    assert "3600s" in timer.read_text()
    first.write_text("[Service]\n# mine\n")
    with pytest.raises(ArgumentError, match=r"service exists and was not written by this command"):
        write_units(recurrence(), tmp_path)
    assert first.read_text() == "[Service]\n# mine\n"
    assert timer.read_text().startswith(MARK)
