"""The visits of one desk that are remembered: all the state there is."""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from guichets.schedule.watch.arrays import Bools, Floats
from guichets.schedule.watch.habits import MEMORY_DAYS
from guichets.schedule.watch.model import WatchStateError

DAY = 86_400.0
VERSION = 1
_FORGET_AT = 1.25  # times MEMORY_DAYS: what is older is dropped then, in one go
UNKNOWN = 2  # found: 0 closed, 1 open, 2 nothing established


@dataclass(slots=True)
class Record:
    """Visits in order of time, at most some weeks of them."""

    times: array[float] = field(default_factory=lambda: array("d"))  # unix seconds
    found: bytearray = field(default_factory=bytearray)
    close: deque[float] = field(default_factory=deque)  # visits within a form's interval, of the last day
    fitted: int = -(10**9)  # minute in which habits were last learnt from it

    def add(self, at: float, is_offered: bool | None, interval: float) -> bool:
        """Remember a visit; False for one that is not the latest, which is put where it belongs."""
        times = self.times
        found = UNKNOWN if is_offered is None else is_offered
        if times:
            last = times[-1]
            if at < last:
                place = bisect_right(times, at)
                times.insert(place, at)
                self.found.insert(place, found)
                return False
            if at - last < interval:
                self.close.append(at)
        times.append(at)
        self.found.append(found)
        if at - times[0] > _FORGET_AT * MEMORY_DAYS * DAY:
            self._drop(bisect_right(times, at - MEMORY_DAYS * DAY))
        return True

    def forget_after(self, at: float) -> None:
        """Drop visits later than an instant."""
        kept = bisect_right(self.times, at)
        del self.times[kept:]
        del self.found[kept:]
        self.close.clear()

    def since(self, at: float) -> array[float]:
        """The visits from an instant on."""
        return self.times[bisect_left(self.times, at) :]

    @property
    def has_opened(self) -> bool:
        """Whether any visit found the desk open."""
        return b"\x01" in self.found

    def was_open(self) -> bool:
        """Whether the last visit that established something found the desk open."""
        return bytes(self.found).rstrip(bytes([UNKNOWN]))[-1:] == b"\x01"

    def _drop(self, count: int) -> None:
        del self.times[:count]
        del self.found[:count]

    def close_within_a_day(self, at: float) -> int:
        close = self.close
        while close and close[0] <= at - DAY:
            close.popleft()
        return len(close)

    def evidence(self, until: float) -> tuple[Floats, Bools]:
        """Visits before ``until`` that established something, within memory: when, and whether open."""
        times = np.array(self.times, dtype=np.float64)
        found = np.frombuffer(bytes(self.found), dtype=np.uint8)
        kept = (found != UNKNOWN) & (times > until - MEMORY_DAYS * DAY) & (times < until)
        return times[kept], found[kept] == 1

    def packed(self) -> bytes:
        """All of it, compressed: seconds between visits, and what they found."""
        seconds = np.rint(np.array(self.times, dtype=np.float64)).astype(np.int64)
        gaps = np.diff(seconds, prepend=0).astype("<i8")
        return bytes([VERSION]) + zlib.compress(
            len(gaps).to_bytes(4, "little") + gaps.tobytes() + bytes(self.found), 6
        )

    @classmethod
    def unpacked(cls, desk_id: str, state: bytes, interval: float) -> Record:
        """Raises WatchStateError when ``state`` is not what ``packed`` made."""
        try:
            if state[:1] != bytes([VERSION]):
                raise ValueError(state[:1])
            plain = zlib.decompress(state[1:])
            count = int.from_bytes(plain[:4], "little")
            if len(plain) != 4 + 9 * count:
                raise ValueError(len(plain))
            times = np.cumsum(np.frombuffer(plain, dtype="<i8", count=count, offset=4)).astype(np.float64)
            if np.any(np.diff(times) < 0):
                raise ValueError("not in order")
            near = times[1:][(np.diff(times) < interval) & (times[1:] > times[-1:] - DAY)]
            found = bytearray(plain[4 + 8 * count :])
            return cls(array("d", times.tobytes()), found, deque(near.tolist()))
        except (ValueError, zlib.error) as error:
            raise WatchStateError(f"{desk_id}: its learnt state cannot be read: relearn it") from error
