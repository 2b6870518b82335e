"""Makes ``data/map.json`` from the outlines of the départements: run once, when the outlines change.

    python -m guichets.site.simplify departements-avec-outre-mer.geojson

Borders are simplified arc by arc (Visvalingam and Whyatt), each shared one once, so that neighbours still
touch. Each overseas département gets a box of its own, at a scale of its own; Paris and its neighbours are
drawn once more, large enough to be pointed at. Outlines: IGN Admin Express and INSEE, 2018 (Licence Ouverte).
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from pathlib import Path
from typing import Any

OUT = Path(__file__).with_name("data") / "map.json"
WIDTH = 600.0  # of the mainland, in units of the picture
SMALLEST = 9.0  # area of the triangles that are dropped, in square units
SMALLEST_ISLAND = 6.0  # area of the rings that are dropped
BOX = 74.0  # side of an overseas box
PARIS = ("75", "92", "93", "94")
PARIS_BOX = 126.0
OVERSEAS = ("971", "972", "973", "974", "976")

Point = tuple[float, float]
Ring = tuple[Point, ...]


def main(source: str) -> None:
    features = json.loads(Path(source).read_text(encoding="utf-8"))["features"]
    rings = {feature["properties"]["code"]: _rings(feature["geometry"]) for feature in features}
    mainland = {code: found for code, found in rings.items() if code not in OVERSEAS}
    project, height = _projection([point for found in mainland.values() for ring in found for point in ring])
    paths = _paths({code: [_each(ring, project) for ring in found] for code, found in mainland.items()})
    boxes = []
    for number, code in enumerate(OVERSEAS):
        left, top = number * (BOX + 12) + 2, height + 16
        boxes.append([code, round(left), round(top), round(BOX)])
        paths |= _paths({code: _in_box(rings[code], left + 5, top + 5, BOX - 10)})
    left, top = 5 * (BOX + 12), height + BOX + 16 - PARIS_BOX  # beside Corsica
    project, _ = _projection(
        [point for code in PARIS for ring in rings[code] for point in ring], PARIS_BOX - 10
    )
    large = {
        code: [
            _each(ring, lambda point: (project(point)[0] + left + 5, project(point)[1] + top + 5))
            for ring in rings[code]
        ]
        for code in PARIS
    }
    boxes.append(["paris", round(left), round(top), round(PARIS_BOX)])
    drawn = {
        "width": round(WIDTH),
        "height": round(height + BOX + 22),
        "boxes": boxes,
        "paths": dict(sorted(paths.items())),
        "paris": _paths(large),
    }
    OUT.write_text(json.dumps(drawn, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{OUT}: {len(paths)} outlines, {OUT.stat().st_size} bytes", file=sys.stderr)


def _rings(geometry: Mapping[str, Any]) -> list[Ring]:
    polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    return [tuple((x, y) for x, y in ring[:-1]) for polygon in polygons for ring in polygon[:1]]


def _projection(points: Sequence[Point], width: float = WIDTH) -> tuple[Any, float]:
    middle = math.radians(46.5)
    xs = [x * math.cos(middle) for x, _ in points]
    ys = [y for _, y in points]
    scale = (width - 4) / (max(xs) - min(xs))
    left, top = min(xs), max(ys)

    def project(point: Point) -> Point:
        return 2 + (point[0] * math.cos(middle) - left) * scale, 2 + (top - point[1]) * scale

    return project, 4 + (max(ys) - min(ys)) * scale


def _in_box(rings: Sequence[Ring], left: float, top: float, side: float) -> list[Ring]:
    points = [point for ring in rings for point in ring]
    squeeze = math.cos(math.radians(sum(y for _, y in points) / len(points)))
    xs, ys = [x * squeeze for x, _ in points], [y for _, y in points]
    scale = side / max(max(xs) - min(xs), max(ys) - min(ys))
    dx = (side - (max(xs) - min(xs)) * scale) / 2
    dy = (side - (max(ys) - min(ys)) * scale) / 2

    def place(point: Point) -> Point:
        return left + dx + (point[0] * squeeze - min(xs)) * scale, top + dy + (max(ys) - point[1]) * scale

    return [_each(ring, place) for ring in rings]


def _each(ring: Ring, project: Any) -> Ring:
    return tuple(project(point) for point in ring)


def _paths(rings: Mapping[str, Sequence[Ring]]) -> dict[str, str]:
    """An SVG path for each code; borders that two of them share stay shared."""
    kept = {
        code: [ring for ring in found if abs(_area(ring)) > SMALLEST_ISLAND] for code, found in rings.items()
    }
    for code, found in kept.items():
        if not found:
            kept[code] = [max(rings[code], key=lambda ring: abs(_area(ring)))]
    owners: dict[Point, set[str]] = {}
    for code, found in kept.items():
        for ring in found:
            for point in ring:
                owners.setdefault(point, set()).add(code)
    simplified: dict[frozenset[Point], tuple[Point, ...]] = {}
    paths = {}
    for code, found in kept.items():
        pieces = []
        for ring in found:
            points = [point for arc in _arcs(ring, owners) for point in _once(arc, simplified)[:-1]]
            if len(points) > 2:
                pieces.append(_path(points))
        paths[code] = "".join(pieces)
    return paths


def _arcs(ring: Ring, owners: Mapping[Point, set[str]]) -> Iterator[tuple[Point, ...]]:
    """The ring cut where its neighbours change."""
    size = len(ring)
    cuts = [
        place
        for place, point in enumerate(ring)
        if len(owners[point]) > 2
        or owners[ring[place - 1]] != owners[point] != owners[ring[(place + 1) % size]]
        or (owners[ring[place - 1]] != owners[point] and len(owners[point]) > len(owners[ring[place - 1]]))
        or (
            owners[ring[(place + 1) % size]] != owners[point]
            and len(owners[point]) > len(owners[ring[(place + 1) % size]])
        )
    ]
    if len(cuts) < 2:
        cuts = sorted({0, size // 2, *cuts})
    for begin, end in zip(cuts, [*cuts[1:], cuts[0] + size], strict=True):
        yield tuple(ring[place % size] for place in range(begin, end + 1))


def _once(arc: tuple[Point, ...], known: dict[frozenset[Point], tuple[Point, ...]]) -> tuple[Point, ...]:
    key = frozenset(arc)
    if key not in known:
        known[key] = _visvalingam(arc)
    found = known[key]
    return found if found[0] == arc[0] else found[::-1]


def _visvalingam(arc: tuple[Point, ...]) -> tuple[Point, ...]:
    before = list(range(-1, len(arc) - 1))
    after = list(range(1, len(arc) + 1))
    alive = [True] * len(arc)

    def area(place: int) -> float:
        return abs(_area((arc[before[place]], arc[place], arc[after[place]])))

    heap = [(area(place), place) for place in range(1, len(arc) - 1)]
    heapify(heap)
    current = {place: size for size, place in heap}
    while heap:
        size, place = heappop(heap)
        if not alive[place] or current[place] != size:
            continue
        if size > SMALLEST / 2:
            break
        alive[place] = False
        left, right = before[place], after[place]
        after[left], before[right] = right, left
        for other in (left, right):
            if 0 < other < len(arc) - 1:
                current[other] = max(size, area(other))
                heappush(heap, (current[other], other))
    return tuple(point for point, is_kept in zip(arc, alive, strict=True) if is_kept)


def _area(ring: Sequence[Point]) -> float:
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(ring, [*ring[1:], ring[0]], strict=True)) / 2


def _path(points: Iterable[Point]) -> str:
    """Whole tenths, each point told from the one before."""
    text, last = "", (0, 0)
    for place, (x, y) in enumerate(points):
        here = round(x * 2), round(y * 2)
        step = here[0] - last[0], here[1] - last[1]
        if place and step == (0, 0):
            continue
        text += f"{'M' if not place else 'l' if place == 1 else ' '}"
        text += " ".join(_number(value / 2) for value in (here if not place else step))
        last = here
    return text + "z"


def _number(value: float) -> str:
    text = f"{value:g}"
    return text.replace("-0.", "-.").removeprefix("0") if text.startswith(("0.", "-0.")) else text


if __name__ == "__main__":
    main(sys.argv[1])
