"""A constat's WACZ taken apart, and held against the standard tools."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

from tests.constat.conftest import Made

WARC = "archive/constat.warc.gz"


def members_of(warc: bytes) -> list[bytes]:
    """The records of a packed WARC, each unpacked."""
    members = []
    while warc:
        engine = zlib.decompressobj(31)
        members.append(engine.decompress(warc))
        warc = engine.unused_data
    return members


def check_index(
    made: Made, tmp_path: Path, *names: str
) -> tuple[list[tuple[str, dict[str, Any]]], list[dict[str, Any]]]:
    """The WACZ is valid and indexed as by the standard indexer, which says the same of ``names`` too.

    The lines of its index, each its key and what it says, and the lines of its list of pages.
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "wacz", "validate", "-f", str(made.out / "archive.wacz")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "the passed WACZ is valid" in done.stdout) == (0, True), done.stdout
    with zipfile.ZipFile(made.out / "archive.wacz") as package:
        warc = tmp_path / "constat.warc.gz"
        warc.write_bytes(package.read(WARC))
        ours = [line.split(" ", 2) for line in package.read("indexes/index.cdx").decode().splitlines()]
        pages = [json.loads(line) for line in package.read("pages/pages.jsonl").decode().splitlines()]
    done = subprocess.run(
        [str(Path(sys.executable).with_name("cdxj-indexer")), "--sort", str(warc)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    theirs = [line.split(" ", 2) for line in done.stdout.splitlines()]
    assert [line[:2] for line in ours] == [line[:2] for line in theirs]
    told = []
    for one, other in zip(ours, theirs, strict=True):
        mine, reference = json.loads(one[2]), json.loads(other[2])
        same = ("url", "status", "offset", "length", "filename", *names)
        assert {name: mine.get(name) for name in same} == {name: reference.get(name) for name in same}
        told.append((one[0], mine))
    return told, pages
