"""A schedule in this process alone, for trials against servers on this machine.

Its pace is not shared with other workers; so it serves loopback hosts only, and rule 2 holds.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from urllib.parse import urlsplit
from uuid import UUID

from guichets.catalogue.model import Catalogue
from guichets.errors import ArgumentError
from guichets.schedule.arguments import check_known
from guichets.schedule.lease import DueDesk, HostLease, Purpose, Selection
from guichets.schedule.pace import Pace


def is_loopback(host: str) -> bool:
    """Whether ``name`` or ``name:port`` can only be this machine."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class MemorySchedule:
    """Every matching desk of a catalogue once, host by host."""

    def __init__(self, catalogue: Catalogue, selection: Selection, *, delay_seconds: float) -> None:
        self._catalogue = catalogue
        self._selection = selection
        by_host: dict[str, list[DueDesk]] = defaultdict(list)
        for desk in catalogue.desks:
            if (
                desk.family == selection.family
                and (selection.departements is None or desk.departement in selection.departements)
                and (selection.desks is None or desk.id in selection.desks)
            ):
                zone = catalogue.departements[desk.departement].timezone
                by_host[desk.host].append(DueDesk(desk, zone))
        for host in by_host:
            if not is_loopback(host):
                raise ArgumentError(
                    f"GUICHETS_STORE=none serves servers on this machine only, and {host!r} is not one: "
                    "without a database the pace of a host cannot be shared. Leave GUICHETS_STORE unset."
                )
        rules = {rule.host: rule for rule in catalogue.hosts}
        self._waiting = []
        for host, desks in sorted(by_host.items()):
            rule = rules.get(host)
            if rule is not None and rule.forbidden:
                continue
            pace = Pace(max(delay_seconds, (rule and rule.delay_seconds) or 0.0))
            self._waiting.append(HostLease(host=host, pace=pace, desks=desks))
        self._waiting.reverse()

    def check(self) -> None:
        check_known(
            self._selection,
            desks={desk.id: desk.family for desk in self._catalogue.desks},
            departements=self._catalogue.departements,
        )

    async def open(self) -> None:
        return None

    async def claim(self, at_most: int = 1) -> list[HostLease]:
        return [self._waiting.pop() for _ in range(min(at_most, len(self._waiting)))]

    async def next_due_seconds(self) -> float | None:
        return None

    async def begin(self, lease: HostLease, due: DueDesk, probe: UUID) -> Purpose | None:
        return "baseline"

    def finish(self, lease: HostLease, due: DueDesk) -> None:
        return None

    async def renew(self, lease: HostLease) -> None:
        return None

    async def release(self, lease: HostLease) -> None:
        lease.give_back()

    async def close(self) -> None:
        return None
