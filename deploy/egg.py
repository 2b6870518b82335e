"""Build the egg for ``scrapyd-deploy --egg``: ``python deploy/egg.py dist/guichets.egg``.

scrapyd-client would write a ``setup.py`` into the repository and pack the tests, but no data file. An egg is
an archive of packages with their metadata under another name, so it is made from the very wheel that pip
installs. The packages it needs must be installed on the node: compiled ones cannot be imported from an egg.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMES = {"METADATA": "PKG-INFO", "entry_points.txt": "entry_points.txt"}  # of a wheel, of an egg


def build_egg(egg: Path) -> None:
    """Write the egg; a reader never sees half of it."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        (wheel,) = Path(folder).glob("*.whl")
        egg.parent.mkdir(parents=True, exist_ok=True)
        unfinished = egg.with_name(f"{egg.name}.part")
        convert(wheel, unfinished)
        unfinished.replace(egg)


def convert(wheel: Path, egg: Path) -> None:
    """The same packages; of the metadata, what Scrapyd reads."""
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(egg, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            folder, _, rest = name.partition("/")
            if not folder.endswith(".dist-info"):
                target.writestr(name, source.read(name))
            elif rest in NAMES:
                target.writestr(f"EGG-INFO/{NAMES[rest]}", source.read(name))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python deploy/egg.py FILE")
    build_egg(Path(sys.argv[1]))
    print(sys.argv[1])
