"""Makes the outlines that the map of France is drawn on, and where each département's mark stands.

    python -m monitoring.outlines departements-avec-outre-mer.geojson

Run once, when outlines change. Borders are thinned arc by arc (Douglas and Peucker), an arc being what the
same départements share: neighbours are thinned alike, and still touch. Overseas départements are drawn west
of the mainland, as French maps have them. Paris and its neighbours are told apart by zooming in.
Outlines: IGN Admin Express and INSEE (Licence Ouverte).
"""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "grafana" / "maps"
OUTLINES = FOLDER / "departements.geojson"
FARTHEST = 0.02  # degrees a border may move
SMALLEST = 4  # points of a ring that is kept
# code -> (centre of what is drawn there, west of the mainland; scale)
INSETS = {
    "971": ((-7.5, 50.0), 1.4),
    "972": ((-7.5, 48.2), 1.8),
    "973": ((-7.5, 46.0), 0.45),
    "974": ((-7.5, 43.8), 1.8),
    "976": ((-7.5, 42.2), 3.0),
}
ABROAD = (-5.0, 50.6)  # the consulates' mark, on no outline

Point = tuple[float, float]


def main(source: str) -> None:
    features = json.loads(Path(source).read_text("utf-8"))["features"]
    sharers: dict[Point, set[str]] = defaultdict(set)
    for feature in features:
        for ring in _rings(feature["geometry"]):
            for x, y in ring:
                sharers[x, y].add(feature["properties"]["code"])
    features.sort(key=lambda found: found["properties"]["code"])
    made = [_feature(feature, sharers) for feature in features]
    FOLDER.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(feature, ensure_ascii=False, separators=(",", ":")) for feature in made)
    OUTLINES.write_text(f'{{"type":"FeatureCollection","features":[\n{lines}\n]}}\n', "utf-8")


def marks() -> dict[str, Point]:
    """Longitude and latitude of each département's mark."""
    found = {"99": ABROAD}
    for feature in json.loads(OUTLINES.read_text("utf-8"))["features"]:
        found[feature["properties"]["code"]] = tuple(feature["properties"]["mark"])
    return dict(sorted(found.items()))


def _feature(feature: dict[str, Any], sharers: Mapping[Point, set[str]]) -> dict[str, Any]:
    code = feature["properties"]["code"]
    rings = [_thinner([(x, y) for x, y in ring], sharers) for ring in _rings(feature["geometry"])]
    if code in INSETS:
        rings = _inset(rings, *INSETS[code])
    kept = [ring for ring in rings if len(ring) > SMALLEST]
    largest = max(kept, key=lambda ring: abs(_area(ring)))
    return {
        "type": "Feature",
        "properties": {"code": code, "nom": feature["properties"]["nom"], "mark": _centre(largest)},
        "geometry": {"type": "MultiPolygon", "coordinates": [[ring] for ring in kept]},
    }


def _rings(geometry: dict[str, Any]) -> Iterable[Sequence[Point]]:
    """Outer rings; holes are other départements or lakes, and too small to see."""
    if geometry["type"] == "Polygon":
        yield geometry["coordinates"][0]
    else:
        yield from (polygon[0] for polygon in geometry["coordinates"])


def _inset(rings: Sequence[Sequence[Point]], centre: Point, scale: float) -> list[list[Point]]:
    longitudes = [point[0] for ring in rings for point in ring]
    latitudes = [point[1] for ring in rings for point in ring]
    middle = (min(longitudes) + max(longitudes)) / 2, (min(latitudes) + max(latitudes)) / 2
    return [
        [(centre[0] + (x - middle[0]) * scale * 1.4, centre[1] + (y - middle[1]) * scale) for x, y in ring]
        for ring in rings
    ]


def _thinner(ring: Sequence[Point], sharers: Mapping[Point, set[str]]) -> list[Point]:
    """The ring with fewer points; where sharers change, a point stays."""
    points = list(ring[:-1])
    ends = [
        place
        for place, point in enumerate(points)
        if not sharers[points[place - 1]] == sharers[point] == sharers[points[(place + 1) % len(points)]]
    ] or [points.index(min(points))]
    if len(ends) == 1:  # an island: its two farthest points begin the arcs
        first = points[ends[0]]
        ends.append(max(range(len(points)), key=lambda place: math.dist(points[place], first)))
        ends.sort()
    points = points[ends[0] :] + points[: ends[0]]
    places = [place - ends[0] for place in ends] + [len(points)]
    points.append(points[0])
    found: list[Point] = []
    for begin, end in pairwise(places):
        found += _thinned(points[begin : end + 1])[:-1]
    found.append(found[0])
    return [(round(x, 3), round(y, 3)) for x, y in found]


def _thinned(arc: Sequence[Point]) -> list[Point]:
    """The same from either end, so that neighbours agree."""
    if len(arc) < 3:
        return list(arc)
    first, last = sorted((arc[0], arc[-1]))
    away = [_distance(point, first, last) for point in arc[1:-1]]
    farthest = max(away)
    if farthest <= FARTHEST:
        return [arc[0], arc[-1]]
    place = away.index(farthest) + 1
    return _thinned(arc[: place + 1])[:-1] + _thinned(arc[place:])


def _distance(point: Point, first: Point, last: Point) -> float:
    length = math.dist(first, last)
    if length == 0:
        return math.dist(point, first)
    cross = (last[0] - first[0]) * (first[1] - point[1]) - (first[0] - point[0]) * (last[1] - first[1])
    return abs(cross) / length


def _area(ring: Sequence[Point]) -> float:
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring)) / 2


def _centre(ring: Sequence[Point]) -> Point:
    area = _area(ring)
    x = y = 0.0
    for a, b in pairwise(ring):
        cross = a[0] * b[1] - b[0] * a[1]
        x, y = x + (a[0] + b[0]) * cross, y + (a[1] + b[1]) * cross
    return round(x / (6 * area), 2), round(y / (6 * area), 2)


if __name__ == "__main__":
    main(sys.argv[1])
