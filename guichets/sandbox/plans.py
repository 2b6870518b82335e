"""Which hosts and desks a sandbox plays, drawn from the seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from zoneinfo import ZoneInfo

from guichets.catalogue import PROCEDURES, departements
from guichets.errors import ArgumentError
from guichets.sandbox.families import Draft, Family
from guichets.sandbox.world import Temper

ABROAD = "99"  # consulates: no préfecture there
MAX_DESKS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskPlan:
    """One desk, as drawn: what the catalogue says of it, and what it will play."""

    id: str
    family: str
    departement: str
    zone: ZoneInfo
    host: int  # place of its host in the list of hosts
    office: str
    procedure: str
    label: str
    draft: Draft  # the family's own part: counters, form number, manners
    tempers: tuple[Temper, ...]  # one per counter
    script: str | None  # scene it plays from the start; None: its life


@dataclass(frozen=True, slots=True)
class HostPlan:
    """One préfecture site."""

    number: int
    departement: str
    title: str  # name of the département, for pages


@dataclass(frozen=True, slots=True)
class _Role:
    """A share of the desks: a pinned scene, or lives of one temper."""

    share: float
    scene: str | None = None
    temper: Temper = Temper.SCARCE


_REALISTIC = (
    _Role(48, temper=Temper.SCARCE),
    _Role(11, temper=Temper.DRY),
    _Role(16, temper=Temper.GENEROUS),
    _Role(1, temper=Temper.STEADY),
    _Role(4, "closed-no-calendar"),
    _Role(2, "closed-unavailable"),
    _Role(1, "closed-disabled-404"),
    _Role(1, "closed-disabled-200"),
    _Role(3, "overload-503"),
    _Role(2, "status-502"),
    _Role(3, "status-404"),
    _Role(2, "reset"),
    _Role(1, "empty-reply"),
    _Role(1, "late-truncated"),
    _Role(3, "unknown-page"),
)
_REFUSING_HOSTS = ("status-403", "robots-forbidden")  # a ban concerns a whole host
_REFUSING_SHARE = 0.025  # of the hosts, for each

MIXTURES = ("realistic", "lives", "states", "all")
"""Named mixtures; the name of a scene is one too, and makes every desk play it."""


def draw_hosts(seed: int, count: int) -> tuple[HostPlan, ...]:
    """``count`` préfectures spread over the list of départements."""
    known = [entry for code, entry in departements().items() if code != ABROAD]
    if count > len(known):
        raise ArgumentError(f"--departements {count}: there are {len(known)}; ask for fewer")
    first = Random(f"{seed}/departements").randrange(len(known))
    chosen = sorted({(first + place * len(known) // count) % len(known) for place in range(count)})
    return tuple(HostPlan(n, known[place].code, known[place].name) for n, place in enumerate(chosen))


def draw_desks(
    *, seed: int, hosts: Sequence[HostPlan], count: int, family: Family, mixture: str
) -> tuple[DeskPlan, ...]:
    """``count`` desks, dealt to the hosts in turn, with their roles."""
    codes = departements()
    placed = sorted((place % len(hosts), place) for place in range(count))
    roles = _cast(seed, [host for host, _ in placed], family, mixture)
    plans = []
    numbers: dict[int, set[int]] = {host.number: set() for host in hosts}
    rank: dict[int, int] = {}
    for (host, _), role in zip(placed, roles, strict=True):
        rank[host] = rank.get(host, 0) + 1
        code = hosts[host].departement
        desk_id = f"{code.lower()}-sandbox-{rank[host]:03}"
        fate = Random(f"{seed}/{desk_id}/plan")
        procedure = fate.choice(_PROCEDURES)
        draft = family.draft(fate, numbers[host], PROCEDURES[procedure])
        plans.append(
            DeskPlan(
                id=desk_id,
                family=family.name,
                departement=code,
                zone=codes[code].zone,
                host=host,
                office=f"Préfecture de bac à sable ({hosts[host].title})",
                procedure=procedure,
                label=f"{PROCEDURES[procedure]} - formulaire {draft.number}",
                draft=draft,
                tempers=_tempers(fate, role.temper, len(draft.counters)),
                script=role.scene,
            )
        )
    return tuple(plans)


_PROCEDURES = (
    "remise_titre",
    "renouvellement",
    "premiere_demande",
    "changement_statut",
    "naturalisation",
    "etudiant",
    "commission_medicale",
    "document_voyage",
)


def _tempers(fate: Random, temper: Temper, count: int) -> tuple[Temper, ...]:
    """The first counter has the desk's temper; the others of a generous desk may be scarcer."""
    others = (temper, Temper.SCARCE) if temper is Temper.GENEROUS else (temper, Temper.DRY)
    drawn = [temper, *(fate.choice(others) for _ in range(count - 1))]
    fate.shuffle(drawn)
    return tuple(drawn)


def _cast(seed: int, hosts: list[int], family: Family, mixture: str) -> list[_Role]:
    """One role per desk, given the host of each."""
    fate = Random(f"{seed}/roles")
    scenes = [scene for scene in family.scenes if scene.name != "life"]
    if mixture == "realistic":
        return _realistic(fate, hosts)
    if mixture == "lives":
        return _dealt(fate, [role for role in _REALISTIC if role.scene is None], len(hosts))
    if mixture in {"states", "all"}:
        names = [scene.name for scene in scenes if mixture == "all" or not scene.slow]
        return [_Role(1, names[place % len(names)]) for place in range(len(hosts))]
    if mixture in {scene.name for scene in family.scenes}:
        return [_Role(1, None if mixture == "life" else mixture)] * len(hosts)
    raise ArgumentError(
        f"--mixture {mixture!r} is unknown: choose {', '.join(MIXTURES)} or the name of a scene"
    )


def _realistic(fate: Random, hosts: list[int]) -> list[_Role]:
    numbers = sorted(set(hosts))
    fate.shuffle(numbers)
    each = int(len(numbers) * _REFUSING_SHARE)
    refusing: dict[int, str] = {}
    for scene in _REFUSING_HOSTS:
        for _ in range(each):
            refusing[numbers.pop()] = scene
    others = iter(_dealt(fate, list(_REALISTIC), sum(host not in refusing for host in hosts)))
    return [_Role(1, refusing[host]) if host in refusing else next(others) for host in hosts]


def _dealt(fate: Random, roles: list[_Role], count: int) -> list[_Role]:
    """``count`` roles in the proportions asked for (largest remainders), shuffled."""
    whole = sum(role.share for role in roles)
    exact = [role.share * count / whole for role in roles]
    dealt = [int(share) for share in exact]
    by_remainder = sorted(range(len(roles)), key=lambda place: dealt[place] - exact[place])
    for place in by_remainder[: count - sum(dealt)]:
        dealt[place] += 1
    cast = [role for role, times in zip(roles, dealt, strict=True) for _ in range(times)]
    fate.shuffle(cast)
    return cast
