"""Which hosts and desks a sandbox plays, drawn from the seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from zoneinfo import ZoneInfo

from guichets.catalogue import PROCEDURES, departements
from guichets.errors import ArgumentError
from guichets.sandbox.families import Draft, Family, families
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
    family: str


@dataclass(frozen=True, slots=True)
class _Role:
    """A share of the desks: a pinned scene, or lives of one temper."""

    share: float
    scene: str | None = None
    temper: Temper = Temper.SCARCE


_LIVES = (
    _Role(48, temper=Temper.SCARCE),
    _Role(11, temper=Temper.DRY),
    _Role(16, temper=Temper.GENEROUS),
    _Role(1, temper=Temper.STEADY),
)
_FAILURES = (
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


def draw_hosts(seed: int, count: int, families: Sequence[Family]) -> tuple[HostPlan, ...]:
    """``count`` sites spread over the list of départements, dealt to the families in turn.

    A family of one place alone gets one site besides, unless it plays alone.
    """
    known = [entry for code, entry in departements().items() if code != ABROAD]
    if count > len(known):
        raise ArgumentError(f"--departements {count}: there are {len(known)}; ask for fewer")
    first = Random(f"{seed}/departements").randrange(len(known))
    chosen = sorted({(first + place * len(known) // count) % len(known) for place in range(count)})
    anywhere = [family for family in families if family.departement is None] or list(families)
    elsewhere = [family for family in families if family not in anywhere]
    if count < len(anywhere):
        raise ArgumentError(
            f"--departements {count}: fewer than the {len(anywhere)} families to spread there"
        )
    sites = [(known[place], anywhere[turn % len(anywhere)]) for turn, place in enumerate(chosen)]
    sites += [(departements()[str(family.departement)], family) for family in elsewhere]
    return tuple(
        HostPlan(number, family.departement or place.code, place.name, family.name)
        for number, (place, family) in enumerate(sites)
    )


def draw_desks(*, seed: int, hosts: Sequence[HostPlan], count: int, mixture: str) -> tuple[DeskPlan, ...]:
    """``count`` desks, dealt to the hosts in turn, with their roles."""
    codes = departements()
    dealt = Counter(place % len(hosts) for place in range(count))
    roles = {
        family: iter(_cast(seed, [host.number for host in hosts if host.family == family
                                  for _ in range(dealt[host.number])], families()[family], mixture))
        for family in dict.fromkeys(host.family for host in hosts)
    }  # fmt: skip
    plans = []
    rank: Counter[tuple[str, str]] = Counter()
    for host in hosts:
        family = families()[host.family]
        taken: set[int] = set()  # numbers in use on this host
        code = host.departement
        for _ in range(dealt[host.number]):
            role = next(roles[family.name])
            rank[code, family.name] += 1
            place = "sandbox" if family.name == "ezbooking" else family.name.replace("_", "-")
            desk_id = f"{code.lower()}-{place}-{rank[code, family.name]:03}"
            fate = Random(f"{seed}/{desk_id}/plan")
            procedure = fate.choice(_PROCEDURES)
            draft = family.draft(fate, taken, PROCEDURES[procedure])
            plans.append(
                DeskPlan(
                    id=desk_id,
                    family=family.name,
                    departement=code,
                    zone=codes[code].zone,
                    host=host.number,
                    office=f"{family.office} de bac à sable ({host.title})",
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
        own = [_Role(share, name) for name, share in family.realistic.items()]
        return _realistic(fate, hosts, [*_LIVES, *own, *_FAILURES])
    if mixture == "lives":
        return _dealt(fate, list(_LIVES), len(hosts))
    if mixture in {"states", "all"}:
        names = [scene.name for scene in scenes if mixture == "all" or not scene.slow]
        return [_Role(1, names[place % len(names)]) for place in range(len(hosts))]
    if mixture in {scene.name for scene in family.scenes}:
        return [_Role(1, None if mixture == "life" else mixture)] * len(hosts)
    raise ArgumentError(
        f"--mixture {mixture!r} is unknown: choose {', '.join(MIXTURES)} or the name of a scene"
    )


def _realistic(fate: Random, hosts: list[int], roles: list[_Role]) -> list[_Role]:
    numbers = sorted(set(hosts))
    fate.shuffle(numbers)
    each = int(len(numbers) * _REFUSING_SHARE)
    refusing: dict[int, str] = {}
    for scene in _REFUSING_HOSTS:
        for _ in range(each):
            refusing[numbers.pop()] = scene
    others = iter(_dealt(fate, roles, sum(host not in refusing for host in hosts)))
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
