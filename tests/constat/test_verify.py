"""Whatever is changed in a constat, ``verify.py`` finds it; on any machine, with nothing but Python."""

from __future__ import annotations

import ast
import csv
import hashlib
import io
import json
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from guichets.constat import verify
from guichets.constat.package import data_hash
from guichets.constat.wacz import write_stored
from guichets.evidence import read_seals
from guichets.evidence.timestamp import stamp_seal
from tests.constat.conftest import Made, World
from tests.constat.opened import WARC, members_of
from tests.constat.quarter import FIRST

pytestmark = [pytest.mark.xdist_group("constat"), pytest.mark.timeout(400)]

TAMPERINGS = 200
COVER = verify.COVER
Files = dict[str, bytes]
FLIP_BYTE, CUT_END = "flip byte", "cut end"  # of the whole ZIP, not of a file in it


def judged(place: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    status = verify.main([str(place)])
    return status, capsys.readouterr().out


def contents(made: Made) -> Files:
    with zipfile.ZipFile(made.zip) as package:
        return {name: package.read(name) for name in package.namelist()}


def packed(files: Files, place: Path) -> Path:
    with place.open("wb") as stream:
        write_stored(stream, files)
    return place


def forged(files: Files) -> Files:
    """The same with a manifest that fits: what somebody who knows the format would hand in."""
    hashes = {
        name: hashlib.sha256(data).hexdigest()
        for name, data in files.items()
        if name not in (verify.MANIFEST, verify.MANIFEST_HASH, COVER)
    }
    old = files[verify.REPORT]
    manifest = json.loads(files[verify.MANIFEST])
    files[verify.REPORT] = old.replace(manifest["data"].encode(), data_hash(hashes).encode())
    hashes[verify.REPORT] = hashlib.sha256(files[verify.REPORT]).hexdigest()
    manifest["data"] = data_hash(hashes)
    manifest["files"] = [
        {"path": name, "bytes": len(files[name]), "sha256": digest} for name, digest in sorted(hashes.items())
    ]
    files[verify.MANIFEST] = (json.dumps(manifest, ensure_ascii=False, indent=1) + "\n").encode()
    digest = hashlib.sha256(files[verify.MANIFEST]).hexdigest()
    files[verify.MANIFEST_HASH] = f"{digest}  {verify.MANIFEST}\n".encode()
    return files


def test_it_runs_alone_in_the_folder_and_says_what_it_cannot_check(whole: Made, tmp_path: Path) -> None:
    folder = tmp_path / "ailleurs"
    shutil.copytree(whole.out, folder)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "verify.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "TOUT CE QUI PEUT ÊTRE VÉRIFIÉ ICI TIENT. / ALL THAT CAN BE CHECKED HERE HOLDS." in done.stdout
    assert "observations sont sous la racine de leur jour" in done.stdout
    assert "pages jointes sont, à l'octet près, celles que nomment les lignes" in done.stdout
    assert "CE QUI N'EST PAS VÉRIFIÉ ICI / WHAT IS NOT CHECKED HERE" in done.stdout
    assert whole.stdout.split()[-1] in done.stdout  # the manifest's hash, as the command told it


def test_it_is_one_file_of_the_standard_library_for_old_pythons() -> None:
    source = Path(verify.__file__).read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 8))
    modules = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert modules <= sys.stdlib_module_names
    assert "urllib" not in modules
    assert "socket" not in modules


def test_two_hundred_random_tamperings_are_all_found(
    short: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = short.zip.read_bytes()
    original = contents(short)
    with zipfile.ZipFile(short.zip) as package:
        cover = package.getinfo(COVER)
    begins = cover.header_offset + 30 + len(COVER)
    fate = random.Random(20200610)
    assert judged(short.zip, capsys)[0] == 0
    kinds = [
        FLIP_BYTE,
        edit_row,
        edit_page,
        change_date,
        drop_file,
        add_file,
        swap_rows,
        edit_manifest,
        CUT_END,
    ]
    missed = []
    for number in range(TAMPERINGS):
        kind = kinds[number % len(kinds)] if number % 2 else FLIP_BYTE
        place = tmp_path / "falsifié.zip"
        if kind is FLIP_BYTE:
            data = bytearray(whole)
            at = fate.randrange(len(data) - cover.file_size)
            at += cover.file_size if at >= begins else 0
            data[at] ^= 1 << fate.randrange(8)
            place.write_bytes(data)
            told = f"byte {at}"
        elif kind is CUT_END:
            end = fate.randrange(1, len(whole))
            place.write_bytes(whole[:end])
            told = f"cut at {end}"
        else:
            files = dict(original)
            told = f"{kind.__name__} {kind(files, fate)}"
            assert files != original
            packed(files, place)
        if judged(place, capsys)[0] == 0:
            missed.append(told)
    assert missed == []


def edit_row(files: Files, fate: random.Random) -> str:
    lines = files["observations.csv"].decode("utf-8").split("\n")
    place = fate.randrange(1, len(lines) - 1)
    lines[place] = lines[place].replace("none", "offered").replace("closed", "none") + "x" * fate.randrange(2)
    if "\n".join(lines).encode() == files["observations.csv"]:
        lines[place] += " "
    files["observations.csv"] = "\n".join(lines).encode()
    return str(place)


def edit_page(files: Files, fate: random.Random) -> str:
    name = fate.choice([name for name in files if name.startswith("pages/") or name.endswith(".wacz")])
    data = bytearray(files[name])
    data[fate.randrange(len(data))] ^= 1
    files[name] = bytes(data)
    return name


def change_date(files: Files, fate: random.Random) -> str:
    name = fate.choice(
        ["observations.csv", "preuves/lignes.jsonl", "preuves/seals.txt", "preuves/inclusions.jsonl"]
    )
    files[name] = files[name].replace(b"2025-01-1", b"2025-01-2", 1 + fate.randrange(20))
    return name


def drop_file(files: Files, fate: random.Random) -> str:
    name = fate.choice([name for name in files if name != COVER])
    del files[name]
    return name


def add_file(files: Files, fate: random.Random) -> str:
    name = f"pages/{fate.getrandbits(32):08x}.png"
    files[name] = b"\x89PNG"
    return name


def swap_rows(files: Files, fate: random.Random) -> str:
    name = fate.choice(["observations.csv", "preuves/lignes.jsonl", "preuves/inclusions.jsonl"])
    lines = files[name].split(b"\n")
    one, other = fate.sample(range(1, len(lines) - 1), 2)
    lines[one], lines[other] = lines[other], lines[one]
    files[name] = b"\n".join(lines)
    return f"{name} {one} {other}"


def edit_manifest(files: Files, fate: random.Random) -> str:
    data = bytearray(files[verify.MANIFEST])
    place = fate.randrange(len(data))
    data[place] = (data[place] + 1) % 256
    files[verify.MANIFEST] = bytes(data)
    return str(place)


Forge = Callable[[Files], None]


def rewrite_csv(change: Callable[[list[str]], None]) -> Forge:
    def forge(files: Files) -> None:
        rows = list(csv.reader(io.StringIO(files["observations.csv"].decode("utf-8-sig")), delimiter=";"))
        change(rows[5])
        text = io.StringIO()
        csv.writer(text, delimiter=";", lineterminator="\n").writerows(rows)
        files["observations.csv"] = b"\xef\xbb\xbf" + text.getvalue().encode()

    return forge


def outcome_turned(row: list[str]) -> None:
    row[6], row[7] = "offered", "des rendez-vous sont proposés"


def hour_moved(row: list[str]) -> None:
    row[5] = row[5].replace("T0", "T1").replace("T2", "T1")
    row[2] = row[2].replace("T0", "T1").replace("T2", "T1")


def row_and_line(files: Files) -> None:
    """The row and its archived text agree, and the note has another hash."""
    rewrite_csv(outcome_turned)(files)
    lines = files["preuves/lignes.jsonl"].decode().split("\n")
    fields = json.loads(lines[4])
    fields["ligne"] = fields["ligne"].replace('"outcome":"none"', '"outcome":"offered"')
    lines[4] = json.dumps(fields)
    files["preuves/lignes.jsonl"] = "\n".join(lines).encode()


def note_replaced(files: Files) -> None:
    """A note of one's own, with its hash, that no seal knows of."""
    import gzip

    entries = files["preuves/inclusions.jsonl"].decode().split("\n")
    fields = json.loads(entries[0])
    notes = files["preuves/notes.warc.gz"]
    member = notes[: fields["longueur"]]
    other = gzip.compress(gzip.decompress(member).replace(b" none ", b" open "), mtime=0)
    fields |= {"longueur": len(other), "sha256": hashlib.sha256(other).hexdigest()}
    shifted = [json.dumps(fields)]
    for entry in entries[1:-1]:
        moved = json.loads(entry)
        moved["position"] += len(other) - len(member)
        shifted.append(json.dumps(moved))
    files["preuves/inclusions.jsonl"] = ("\n".join(shifted) + "\n").encode()
    files["preuves/notes.warc.gz"] = other + notes[len(member) :]


def root_replaced(files: Files) -> None:
    text = files["preuves/seals.txt"].decode()
    day = text.split("\n")[2]
    files["preuves/seals.txt"] = text.replace(day.split(" ")[2], "0" * 64).encode()


def page_replaced(files: Files) -> None:
    """A page of one's own in the WACZ, with hashes that fit inside it."""
    import gzip

    with zipfile.ZipFile(io.BytesIO(files["archive.wacz"])) as package:
        inside = {name: package.read(name) for name in package.namelist()}
    members = members_of(inside[WARC])
    place = next(n for n, one in enumerate(members) if b"existe plus de plage" in one and b"response" in one)
    head, _, block = members[place].partition(b"\r\n\r\n")
    http, _, body = block.removesuffix(b"\r\n\r\n").partition(b"\r\n\r\n")
    other = body.replace(b"existe plus de plage horaire libre", b"existe encore des plages horaires")
    head = head.replace(hashlib.sha256(body).hexdigest().encode(), hashlib.sha256(other).hexdigest().encode())
    size = f"Content-Length: {len(http) + 4 + len(other)}".encode()
    head = b"\r\n".join(size if line.startswith(b"Content-Length") else line for line in head.split(b"\r\n"))
    members[place] = head + b"\r\n\r\n" + http + b"\r\n\r\n" + other + b"\r\n\r\n"
    inside[WARC] = b"".join(gzip.compress(one, mtime=0) for one in members)
    described = json.loads(inside["datapackage.json"])
    for one in described["resources"]:
        one["hash"] = "sha256:" + hashlib.sha256(inside[one["path"]]).hexdigest()
    inside["datapackage.json"] = json.dumps(described).encode()
    digest = "sha256:" + hashlib.sha256(inside["datapackage.json"]).hexdigest()
    inside["datapackage-digest.json"] = json.dumps({"path": "datapackage.json", "hash": digest}).encode()
    stream = io.BytesIO()
    write_stored(stream, inside)
    files["archive.wacz"] = stream.getvalue()


@pytest.mark.parametrize(
    ("forge", "found"),
    [
        pytest.param(
            rewrite_csv(outcome_turned), "n° 5 : resultat diffère de la ligne archivée", id="outcome"
        ),
        pytest.param(rewrite_csv(hour_moved), "n° 5 : l'instant diffère de la ligne archivée", id="hour"),
        pytest.param(row_and_line, "n° 5 : la ligne n'est pas celle de la note", id="row-and-line"),
        pytest.param(note_replaced, "n° 1 : la note n'est pas sous le sceau du", id="note"),
        pytest.param(root_replaced, "preuves/seals.txt:3 : ce sceau ne suit pas du précédent", id="root"),
        pytest.param(page_replaced, "la page répétée manque", id="page"),
    ],
)
def test_a_change_with_a_manifest_that_fits_is_found_and_its_place_named(
    forge: Forge, found: str, short: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = contents(short)
    forge(files)
    status, told = judged(packed(forged(files), tmp_path / "forgé.zip"), capsys)
    assert status == 1
    assert found in told


def test_the_cover_is_outside_the_hashes_and_that_is_said(
    short: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = contents(short)
    files[COVER] = b"another case"
    status, told = judged(packed(files, tmp_path / "autre.zip"), capsys)
    assert status == 0
    assert "couverture.pdf), qui porte la référence du dossier, hors des empreintes" in told


def test_what_is_no_constat_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.zip").write_bytes(b"not a zip")
    for place in (tmp_path / "x.zip", tmp_path, tmp_path / "nowhere"):
        status, told = judged(place, capsys)
        assert status == 2
        assert told.count("\n") == 1


def test_time_stamps_are_carried_and_checked(
    changeable: Callable[[], World], served: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = changeable()
    seals = read_seals(world.quarter.home)[:3]
    for seal in seals:
        stamp_seal(world.quarter.home, seal, served)
    made = world.constat(tmp_path / "constat", FIRST, FIRST.replace(day=9), GUICHETS_BROWSER="")
    assert made.status == 0, made.stderr
    status, told = judged(made.zip, capsys)
    assert status == 0
    assert "3 jetons RFC 3161 portent l'empreinte du sceau de leur jour" in told
    assert "openssl ts -verify" in told
    files = contents(made)
    days = [f"preuves/horodatages/{seal.day}.tsr" for seal in seals[:2]]
    files[days[0]], files[days[1]] = files[days[1]], files[days[0]]
    status, told = judged(packed(forged(files), tmp_path / "échangé.zip"), capsys)
    assert status == 1
    assert f"{days[0]} : ce jeton date autre chose que le sceau" in told
