"""The spool under what breaks it: torn lines, killed writers, living writers, a full disk."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from guichets.spool import Segment, Spool, SpoolError

ROOT = Path(__file__).resolve().parent.parent

WRITER = """
import sys, time
from pathlib import Path
from guichets.spool import Spool
segment = Spool(Path(sys.argv[1]), "writer").new_segment()
for number in range(int(sys.argv[2])):
    segment.append({"number": number, "text": "é" * 50})
print(segment.path, flush=True)
time.sleep(60)
"""

WRITER_WITHOUT_ROOM = """
import resource, sys
from pathlib import Path
from guichets.spool import Spool, SpoolError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
segment = Spool(Path(sys.argv[1]), "writer").new_segment()
try:
    for number in range(100):
        segment.append({"number": number, "text": "x" * 90})
except SpoolError as error:
    print(segment.count, error)
"""


def drained(spool: Spool) -> list[dict[str, Any]]:
    """All records of the segments nobody holds, which stay on disk."""
    records = []
    for segment in spool.orphans():
        records.extend(segment.records())
        segment.close()
    return records


def python(source: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", source, *map(str, arguments)]


def abandoned(folder: Path, *records: dict[str, Any], tail: bytes = b"") -> Path:
    """A segment whose writer is gone, with what it had half written."""
    segment = Spool(folder, "worker").new_segment()
    for record in records:
        segment.append(record)
    segment.close()
    with segment.path.open("ab") as stream:
        stream.write(tail)
    return segment.path


def test_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    record = {"text": "é « libre »\n\u2028\x00", "none": None, "list": [["2026-03-10", True]], "number": 1}
    abandoned(tmp_path, record)
    assert drained(Spool(tmp_path, "other")) == [record]


def test_record_is_in_the_file_when_append_returns(tmp_path: Path) -> None:
    segment = Spool(tmp_path, "worker").new_segment()
    segment.append({"number": 1})
    segment.flush_to_disk()
    assert segment.path.read_text(encoding="utf-8") == '{"number":1}\n'
    assert segment.count == 1
    segment.remove()
    assert list(tmp_path.iterdir()) == []


def test_own_segment_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    segment = Spool(tmp_path, "worker").new_segment()
    segment.append({"number": 1})
    assert list(segment.records()) == [{"number": 1}]
    segment.append({"number": 2})
    assert list(segment.records()) == [{"number": 1}, {"number": 2}]
    segment.remove()


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param(b'{"number": 3', id="cut-in-a-number"),
        pytest.param(b'{"text": "\xc3', id="cut-in-a-letter"),
        pytest.param(b"{", id="one-byte"),
        pytest.param(b"\x00" * 4096, id="zeros-of-a-power-cut"),
        pytest.param(b"\xff\xfe\xfd", id="noise"),
    ],
)
def test_torn_tail_loses_no_whole_line_and_is_told(
    tmp_path: Path, tail: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = abandoned(tmp_path, {"number": 1}, {"number": 2}, tail=tail)
    with caplog.at_level(logging.WARNING):
        assert drained(Spool(tmp_path, "other")) == [{"number": 1}, {"number": 2}]
    assert f"{path}:3: a torn line is left out" in caplog.text


def test_empty_segment_is_no_record(tmp_path: Path) -> None:
    abandoned(tmp_path)
    assert drained(Spool(tmp_path, "other")) == []


def test_missing_folder_has_no_orphans(tmp_path: Path) -> None:
    assert drained(Spool(tmp_path / "absent", "worker")) == []


def test_killed_writer_leaves_every_record_it_said_it_had(tmp_path: Path) -> None:
    with subprocess.Popen(python(WRITER, tmp_path, 200), cwd=ROOT, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline()
        assert drained(Spool(tmp_path, "other")) == []  # its writer lives
        writer.send_signal(signal.SIGKILL)
        writer.wait(10)
    assert [record["number"] for record in drained(Spool(tmp_path, "other"))] == list(range(200))


def test_segment_under_drain_is_not_drained_by_another(tmp_path: Path) -> None:
    abandoned(tmp_path, {"number": 1})
    (held,) = Spool(tmp_path, "first").orphans()
    assert list(Spool(tmp_path, "second").orphans()) == []
    held.close()
    assert drained(Spool(tmp_path, "second")) == [{"number": 1}]


def test_drained_segment_is_gone_for_all(tmp_path: Path) -> None:
    abandoned(tmp_path, {"number": 1})
    for segment in Spool(tmp_path, "first").orphans():
        segment.remove()
    assert drained(Spool(tmp_path, "second")) == []


def test_two_segments_of_one_process_have_names_of_their_own(tmp_path: Path) -> None:
    spool, again = Spool(tmp_path, "worker"), Spool(tmp_path, "worker")
    segments = [spool.new_segment(), spool.new_segment(), again.new_segment()]
    assert len({segment.path for segment in segments}) == 3
    for segment in segments:
        segment.remove()


@pytest.mark.parametrize("owner", ["../../etc/x", "a b:c", "é/ü", ""])
def test_name_of_the_worker_never_leads_out_of_the_folder(tmp_path: Path, owner: str) -> None:
    segment = Spool(tmp_path / "spool", owner).new_segment()
    assert segment.path.parent == tmp_path / "spool"
    assert segment.path.is_file()
    segment.remove()


def test_segment_drained_between_its_creation_and_its_lock_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_flock = fcntl.flock

    def flock_after_another_drained_it(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real_flock)
        for segment in Spool(tmp_path, "other").orphans():
            segment.remove()
        real_flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock_after_another_drained_it)
    segment = Spool(tmp_path, "worker").new_segment()
    segment.append({"number": 1})
    segment.close()
    assert drained(Spool(tmp_path, "other")) == [{"number": 1}]


def test_segment_held_by_a_drainer_before_its_lock_gives_way_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_flock = fcntl.flock
    held: list[Segment] = []

    def flock_while_another_looks_at_it(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real_flock)
        held.extend(Spool(tmp_path, "other").orphans())
        real_flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock_while_another_looks_at_it)
    segment = Spool(tmp_path, "worker").new_segment()
    assert segment.path.is_file()
    assert [other.path for other in held] != [segment.path]
    for other in (*held, segment):
        other.remove()


def test_segment_nobody_may_open_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    forbidden = abandoned(tmp_path, {"number": 1})
    abandoned(tmp_path, {"number": 2})
    real_open = os.open

    def open_as_another_user(path: Any, *arguments: Any) -> int:
        if Path(path) == forbidden:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real_open(path, *arguments)

    monkeypatch.setattr(os, "open", open_as_another_user)
    with caplog.at_level(logging.WARNING):
        assert drained(Spool(tmp_path, "other")) == [{"number": 2}]
    assert f"{forbidden}: Permission denied" in caplog.text


def test_full_disk_is_said_in_one_line_and_what_was_written_stays(tmp_path: Path) -> None:
    result = subprocess.run(
        python(WRITER_WITHOUT_ROOM, tmp_path),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    count, _, message = result.stdout.strip().partition(" ")
    assert message.endswith("Make room; nothing written is lost.")
    (path,) = tmp_path.glob("*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == int(count) > 5
    assert [json.loads(line)["number"] for line in lines] == list(range(int(count)))


def test_half_written_line_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = Spool(tmp_path, "worker").new_segment()
    segment.append({"number": 1})
    real_write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda descriptor, line: real_write(descriptor, line[:5]))
        with pytest.raises(
            SpoolError, match=r"No space left on device\. Make room; nothing written is lost\."
        ):
            segment.append({"number": 2})
    segment.append({"number": 3})
    assert segment.count == 2
    assert list(segment.records()) == [{"number": 1}, {"number": 3}]
    segment.remove()


def test_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SpoolError, match=r"file/spool: Not a directory: the spool cannot be written$"):
        Spool(tmp_path / "file" / "spool", "worker").new_segment()


def test_refused_record_is_set_aside_where_nobody_drains_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "worker")
    paths = {spool.set_aside({"number": 1, "text": "é"}), spool.set_aside({"number": 2})}
    (path,) = paths
    assert [json.loads(line)["number"] for line in path.read_text(encoding="utf-8").splitlines()] == [1, 2]
    assert drained(spool) == []


def test_refused_record_that_cannot_be_set_aside_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file stands where the folder should")
    with pytest.raises(SpoolError, match=r"spool/refused\.log: File exists\. Make room"):
        Spool(tmp_path / "spool", "w").set_aside({"number": 1})
