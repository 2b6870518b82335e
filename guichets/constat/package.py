"""The folder and the ZIP: every file under one manifest, and nothing half-written ever under its name."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from guichets import __version__
from guichets.constat.attempts import Days, DeskFacts
from guichets.constat.wacz import write_stored
from guichets.errors import ArgumentError, GuichetsError

FORMAT = "guichets-constat-1"
REPORT, COVER = "constat.pdf", "couverture.pdf"
MANIFEST, MANIFEST_HASH = "manifest.json", "manifest.sha256"


@contextmanager
def drafting(out: Path) -> Iterator[Path]:
    """A folder to build in, beside ``out``; it goes when the work is interrupted or fails.

    Raises ArgumentError for a place that cannot be taken.
    """
    check_free(out)
    try:
        draft = Path(tempfile.mkdtemp(prefix=f".{out.name[:80]}.", suffix=".part", dir=out.parent))
    except OSError as problem:
        raise ArgumentError(
            f"--out : rien ne peut être écrit dans {out.parent} ({problem.strerror})"
        ) from None
    try:
        yield draft
    except OSError as problem:
        raise GuichetsError(f"{out} : l'écriture a échoué ({problem.strerror or problem})") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def check_free(out: Path) -> None:
    """Raises ArgumentError unless a constat may be put there: nothing is ever replaced."""
    if not out.name or not out.parent.is_dir():
        raise ArgumentError(f"--out : {out.parent} n'est pas un dossier ; le créer d'abord")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ArgumentError(f"--out : {out} existe déjà et n'est pas un dossier vide ; en nommer un autre")
    if zip_of(out).exists():
        raise ArgumentError(f"--out : {zip_of(out)} existe déjà ; nommer un autre dossier")


def zip_of(out: Path) -> Path:
    """The ZIP beside the folder."""
    return out.with_name(f"{out.name}.zip")


def data_hash(hashes: Mapping[str, str]) -> str:
    """One hash over all data files, as ``sha256sum`` lists them; the document, which prints it, is none."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(hashes.items()) if name != REPORT)
    return hashlib.sha256(lines.encode()).hexdigest()


def hashes_of(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file, by its name in the folder."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names_in(folder)}


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def write_manifest(folder: Path, desk: DeskFacts, days: Days, created: datetime) -> str:
    """Write the manifest of all files there, and its hash beside it; returns that hash."""
    hashes = hashes_of(folder)
    manifest = {
        "format": FORMAT,
        "software": f"Guichets/{__version__}",
        "created": created.astimezone(UTC).isoformat(timespec="seconds"),
        "desk": desk.id,
        "counter": desk.counter_key,
        "from": days.first.isoformat(),
        "to": days.last.isoformat(),
        "data": data_hash(hashes),
        "files": [
            {"path": name, "bytes": (folder / name).stat().st_size, "sha256": digest}
            for name, digest in hashes.items()
        ],
    }
    content = (json.dumps(manifest, ensure_ascii=False, indent=1) + "\n").encode()
    digest = hashlib.sha256(content).hexdigest()
    (folder / MANIFEST).write_bytes(content)
    (folder / MANIFEST_HASH).write_bytes(f"{digest}  {MANIFEST}\n".encode())
    return digest


def publish(draft: Path, out: Path) -> None:
    """Put the finished folder and its ZIP under their names: each whole, or not at all."""
    package = draft.with_suffix(".zip.part")
    try:
        with package.open("wb") as stream:
            write_stored(stream, {name: draft / name for name in names_in(draft)})
            stream.flush()
            os.fsync(stream.fileno())
        draft.chmod(0o755)
        try:
            draft.rename(out)  # onto an empty folder too; another copy that was quicker is not replaced
            os.link(package, zip_of(out))
        except OSError:
            raise ArgumentError(f"--out : {out} est apparu entre-temps ; en nommer un autre") from None
    finally:
        package.unlink(missing_ok=True)
