"""What is playing now: the desks' lives, the scenes pinned over them, and the visits in progress."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from guichets.errors import ArgumentError
from guichets.outcomes import Outcome
from guichets.sandbox.families import families
from guichets.sandbox.plans import DeskPlan
from guichets.sandbox.scenes import Scene
from guichets.sandbox.timing import SimulatedClock, floor_to_minute
from guichets.sandbox.world import Condition, CounterLife, DeskLife, build_life

MAX_VISITS = 50_000  # remembered; the oldest is forgotten, as a server forgets sessions
MAX_SITUATIONS = 32  # remembered per desk


@dataclass(frozen=True, slots=True)
class CounterNow:
    """One counter at one instant."""

    key: str
    label: str
    outcome: Outcome  # offered, none or closed
    slots: tuple[datetime, ...]  # free ones, sorted, in UTC; empty unless offered
    life: CounterLife


@dataclass(frozen=True, slots=True)
class Situation:
    """One desk at one instant, as a visit begun then must find it."""

    desk: DeskPlan
    at: datetime
    scene: Scene | None  # None: the life speaks
    manners: Any
    counters: tuple[CounterNow, ...]  # all that can be reached, in the page's order
    has_choice: bool  # whether the visitor chooses among counters
    ends_early: bool  # whether a visit has its verdict before that choice
    built: dict[str, Any] = field(default_factory=dict, compare=False)  # pages and truth, made once


@dataclass(slots=True)
class Visit:
    """One session's way through one desk; ``at`` pins what it will find."""

    at: datetime
    number: int  # visits of this desk so far, this one included
    step: int = 0  # the furthest page its state allows
    counter: str | None = None
    described: bool = False  # a page that tells was shown before the calendar
    ignored: set[str] = field(default_factory=set)  # posts already ignored once


@dataclass(slots=True)
class _Pinned:
    scene: Scene | None
    manners: Any
    situations: OrderedDict[tuple[datetime, int], Situation] = field(default_factory=OrderedDict)


class Play:
    """The state of the desks; every decision takes the simulated instant from the visit."""

    def __init__(self, *, seed: int, desks: Sequence[DeskPlan], clock: SimulatedClock) -> None:
        self.clock = clock
        self.desks = {desk.id: desk for desk in desks}
        self.by_number = {(desk.host, desk.draft.number): desk for desk in desks}
        self._scenes = {
            name: {scene.name: scene for scene in families()[name].scenes}
            for name in {desk.family for desk in desks}
        }
        self._lives: dict[str, DeskLife] = {
            desk.id: build_life(
                seed=seed,
                desk=desk.id,
                zone=desk.zone,
                counters=tuple(desk.draft.counters),
                tempers=desk.tempers,
            )
            for desk in desks
        }
        self._visits: OrderedDict[tuple[str, str], Visit] = OrderedDict()
        self._begun: dict[str, int] = dict.fromkeys(self.desks, 0)
        self.latest: dict[int, DeskPlan] = {}  # by host, the desk whose visit began last
        self._pinned: dict[str, _Pinned] = {}
        for desk in desks:
            self.pin(desk.id, desk.script)

    def pin(self, desk_id: str, scene_name: str | None, manners: Mapping[str, object] | None = None) -> None:
        """From now on the desk plays this scene (None or ``life``: its life), with these manners."""
        desk = self.desks.get(desk_id)
        if desk is None:
            raise ArgumentError(f"no desk {desk_id!r} in this sandbox")
        scene = None
        if scene_name not in {None, "life"}:
            scene = self._scenes[desk.family].get(str(scene_name))
            if scene is None:
                raise ArgumentError(f"no scene {scene_name!r} for {desk_id}: GET /scenes lists them")
        wanted = {**(scene.manners if scene else {}), **(manners or {})}
        known = {entry.name for entry in fields(desk.draft.manners)}
        for name in wanted:
            if name not in known:
                raise ArgumentError(f"no manner {name!r} for {desk_id}: known are {', '.join(sorted(known))}")
        try:
            self._pinned[desk_id] = _Pinned(scene, replace(desk.draft.manners, **wanted))
        except ValueError as error:
            raise ArgumentError(f"{desk_id}: {error}") from None

    def scene(self, desk_id: str) -> Scene | None:
        return self._pinned[desk_id].scene

    def begin(self, session: str, desk: DeskPlan) -> Visit:
        """A visit starts, or starts again: it will find the desk as it is now."""
        self._begun[desk.id] += 1
        self.latest[desk.host] = desk
        visit = Visit(self.now(), self._begun[desk.id])
        self._visits[session, desk.id] = visit
        self._visits.move_to_end((session, desk.id))
        if len(self._visits) > MAX_VISITS:
            self._visits.popitem(last=False)
        return visit

    def visit(self, session: str, desk: DeskPlan) -> Visit | None:
        return self._visits.get((session, desk.id))

    def now(self) -> datetime:
        """The simulated minute."""
        return floor_to_minute(self.clock.now())

    def situation(self, desk: DeskPlan, visit: Visit | None = None, at: datetime | None = None) -> Situation:
        """What a visit finds; without one, what the latest visit would have found, at ``at`` or now."""
        number = visit.number if visit else max(self._begun[desk.id], 1)
        instant = visit.at if visit else floor_to_minute(at) if at else self.now()
        pinned = self._pinned[desk.id]
        key = (instant, number % 2)
        known = pinned.situations.get(key)
        if known is None:
            known = pinned.situations[key] = self._look(desk, pinned, instant, number)
            if len(pinned.situations) > MAX_SITUATIONS:
                pinned.situations.popitem(last=False)
        return known

    def _look(self, desk: DeskPlan, pinned: _Pinned, at: datetime, number: int) -> Situation:
        life = self._lives[desk.id]
        scene = pinned.scene
        family = families()[desk.family]
        condition = life.condition(at) if scene is None else Condition.ORDINARY
        if condition is Condition.OVERLOADED:
            scene = self._scenes[desk.family][family.overload_scene]
        choice = family.counters(desk, pinned.manners, number)
        reachable = choice or dict([next(iter(desk.draft.counters.items()))])
        counters = []
        for place, (key, label) in enumerate(reachable.items()):
            slots = life.counters[key].free_slots(at) if scene is None or scene.cast is None else ()
            outcome = Outcome.OFFERED if slots else Outcome.NONE
            if condition is Condition.CLOSED:
                outcome = Outcome.CLOSED
            if scene is not None and scene.cast is not None:
                outcome = scene.cast(place, len(reachable))
                if outcome is Outcome.OFFERED:
                    slots = life.counters[key].chosen_slots(at)
            offered = slots if outcome is Outcome.OFFERED else ()
            counters.append(CounterNow(key, label, outcome, offered, life.counters[key]))
        ends_early = family.ends_before_choice(pinned.manners, tuple(counters))
        return Situation(desk, at, scene, pinned.manners, tuple(counters), bool(choice), ends_early)
