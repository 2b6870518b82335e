"""Makes the outlines that the map of France is drawn on, and where each département's mark stands.

    python -m monitoring.outlines departements-avec-outre-mer.geojson

Run once, when outlines change. Points are moved to a grid of some kilometres: neighbours move alike, so their
borders still touch. Overseas départements are drawn west of the mainland, as French maps have them.
Outlines: IGN Admin Express and INSEE (Licence Ouverte).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "grafana" / "maps"
OUTLINES = FOLDER / "departements.geojson"
GRID = 0.06  # degrees
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
    made = [_feature(feature) for feature in sorted(features, key=lambda found: found["properties"]["code"])]
    FOLDER.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(feature, ensure_ascii=False, separators=(",", ":")) for feature in made)
    OUTLINES.write_text(f'{{"type":"FeatureCollection","features":[\n{lines}\n]}}\n', "utf-8")


def marks() -> dict[str, Point]:
    """Longitude and latitude of each département's mark."""
    found = {"99": ABROAD}
    for feature in json.loads(OUTLINES.read_text("utf-8"))["features"]:
        found[feature["properties"]["code"]] = tuple(feature["properties"]["mark"])
    return dict(sorted(found.items()))


def _feature(feature: dict[str, Any]) -> dict[str, Any]:
    code = feature["properties"]["code"]
    rings = list(_rings(feature["geometry"]))
    if code in INSETS:
        rings = _inset(rings, *INSETS[code])
    kept = [small for ring in rings if len(small := _coarser(ring)) > SMALLEST]
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


def _inset(rings: Sequence[Sequence[Point]], centre: Point, scale: float) -> list[Sequence[Point]]:
    longitudes = [point[0] for ring in rings for point in ring]
    latitudes = [point[1] for ring in rings for point in ring]
    middle = (min(longitudes) + max(longitudes)) / 2, (min(latitudes) + max(latitudes)) / 2
    return [
        [(centre[0] + (x - middle[0]) * scale * 1.4, centre[1] + (y - middle[1]) * scale) for x, y in ring]
        for ring in rings
    ]


def _coarser(ring: Sequence[Point]) -> list[Point]:
    found: list[Point] = []
    for x, y in ring:
        point = round(round(x / GRID) * GRID, 2), round(round(y / GRID) * GRID, 2)
        if not found or found[-1] != point:
            found.append(point)
    return found


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
