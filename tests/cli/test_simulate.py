from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
HEAD = {
    "start": "2026-03-02T00:00:00Z",
    "end": "2026-03-04T00:00:00+00:00",
    "desks": [{"id": "a", "host": "h1"}, {"id": "b", "host": "h1", "timezone": "Indian/Reunion"}],
}
OPENING = {"desk": "a", "open": "2026-03-02T09:00:00+01:00", "close": "2026-03-02T12:00:00Z"}


def write(path: Path, *rows: object) -> Path:
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    return path


@pytest.mark.parametrize("policy", ["baseline", "uniform", "watch"])
def test_probes_are_written_in_order_with_their_purpose(run: Run, tmp_path: Path, policy: str) -> None:
    trace = write(tmp_path / "t.jsonl", HEAD, OPENING)
    out = tmp_path / "out.jsonl"
    status, told, _ = run(
        "simulate", str(trace), "--policy", policy, "--every", "30", "--probes", str(out), "--seed", "3"
    )
    assert status == 0
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert all(list(row) == ["desk", "t", "purpose"] for row in rows)
    instants = [datetime.fromisoformat(row["t"]) for row in rows]
    assert instants == sorted(instants)
    assert all(at.utcoffset() == timedelta(0) for at in instants)
    purposes = {row["purpose"] for row in rows}
    assert (
        purposes == {"baseline": {"baseline"}, "uniform": {"watch"}, "watch": {"baseline", "watch"}}[policy]
    )
    assert f"{len(rows)} visites" in told
    assert "over the budget of 24 h : 0" in told


def test_overlapping_windows_are_one_stretch_and_two_openings(run: Run, tmp_path: Path) -> None:
    later = {**OPENING, "open": "2026-03-02T10:00:00Z", "close": "2026-03-02T13:00:00Z"}
    trace = write(tmp_path / "t.jsonl", HEAD, later, OPENING)
    status, told, _ = run(
        *("simulate", str(trace), "--policy", "uniform", "--every", "30"),
        *("--probes", str(tmp_path / "out.jsonl")),
    )
    assert status == 0
    assert re.search(r"^toutes +2 +100\.0%", told, re.MULTILINE)


def test_no_budget_leaves_the_baseline_alone(run: Run, tmp_path: Path) -> None:
    trace = write(tmp_path / "t.jsonl", HEAD)
    out = tmp_path / "out.jsonl"
    assert run("simulate", str(trace), "--policy", "watch", "--every", "0", "--probes", str(out))[0] == 0
    assert '"watch"' not in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        pytest.param([], r"t\.jsonl:1: empty; expected", id="empty"),
        pytest.param(["{"], r"t\.jsonl:1: not JSON: ", id="not-json"),
        pytest.param([[1]], r"t\.jsonl:1: expected an object, got '\[1\]'", id="not-an-object"),
        pytest.param(
            [{**HEAD, "start": "2026-03-02T00:00:00"}],
            r't\.jsonl:1: "start" is "2026-03-02T00:00:00", without a zone: add Z or an offset',
            id="naive",
        ),
        pytest.param(
            [{**HEAD, "end": 5}], r't\.jsonl:1: "end" is 5: expected an ISO 8601 instant', id="number"
        ),
        pytest.param(
            [{**HEAD, "end": "2026-03-01T00:00:00Z"}],
            r"t\.jsonl:1: the trace ends .* before it starts",
            id="end",
        ),
        pytest.param(
            [{**HEAD, "desks": []}], r't\.jsonl:1: "desks" must list one desk or more', id="no-desks"
        ),
        pytest.param([{**HEAD, "desks": [{"id": "a"}]}], r"t\.jsonl:1: a desk is .*: expected", id="no-host"),
        pytest.param(
            [{**HEAD, "desks": [HEAD["desks"][0]] * 2}],  # type: ignore[index]
            r"t\.jsonl:1: desk 'a' is listed twice",
            id="twice",
        ),
        pytest.param(
            [{**HEAD, "desks": [{"id": "a", "host": "h", "timezone": "Paris"}]}],
            r"t\.jsonl:1: desk 'a': unknown timezone 'Paris'",
            id="zone",
        ),
        pytest.param(
            [HEAD, {**OPENING, "desk": "z"}],
            r't\.jsonl:2: desk "z" is not among those of the first line',
            id="desk",
        ),
        pytest.param(
            [HEAD, "", {**OPENING, "close": "2026-03-02T07:00:00Z"}],
            r"t\.jsonl:3: desk 'a' closes \(2026-03-02T07:00:00Z\) before it opens",
            id="reversed",
        ),
        pytest.param([HEAD, {"desk": "a"}], r't\.jsonl:2: "open" is null: expected', id="no-open"),
    ],
)
def test_trace_that_cannot_be_used_is_refused_in_one_line(
    run: Run, tmp_path: Path, rows: list[object], reason: str
) -> None:
    trace = write(tmp_path / "t.jsonl", *rows)
    status, told, error = run(
        *("simulate", str(trace), "--policy", "watch", "--every", "30"),
        *("--probes", str(tmp_path / "out.jsonl")),
    )
    assert (status, told) == (2, "")
    assert re.search(reason, error)
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param(
            {"--policy": "best"}, "--policy 'best': unknown; known: baseline, uniform, watch", id="policy"
        ),
        pytest.param({"--every": "-1"}, "--every -1: expected minutes, 0 (no budget) to", id="negative"),
        pytest.param({"--every": "nan"}, "--every nan: expected minutes", id="nan"),
        pytest.param(
            {"--probes": "/nowhere/at/all"}, "--probes /nowhere/at/all: cannot be written:", id="out"
        ),
    ],
)
def test_wrong_argument_is_refused_in_one_line(
    run: Run, tmp_path: Path, changed: dict[str, str], reason: str
) -> None:
    options = {"--policy": "watch", "--every": "30", "--probes": str(tmp_path / "out.jsonl")} | changed
    trace = write(tmp_path / "t.jsonl", HEAD)
    status, _, error = run("simulate", str(trace), *(word for pair in options.items() for word in pair))
    assert status == 2
    assert reason in error
    assert len(error.splitlines()) == 1


def test_missing_trace_is_refused_in_one_line(run: Run, tmp_path: Path) -> None:
    status, _, error = run(
        *("simulate", str(tmp_path / "no.jsonl"), "--policy", "watch", "--every", "30", "--probes", "x")
    )
    assert status == 2
    assert error.endswith("no.jsonl: cannot be read: No such file or directory\n")


def test_made_trace_can_be_simulated(run: Run, tmp_path: Path) -> None:
    trace = tmp_path / "t.jsonl"
    status, told, _ = run(
        "trace", str(trace), "--desks", "4", "--weeks", "1", "--mix", "pulses", "--seed", "5"
    )
    assert status == 0
    assert "4 guichets" in told
    status, told, _ = run(
        "simulate",
        str(trace),
        "--policy",
        "baseline",
        "--every",
        "30",
        "--probes",
        str(tmp_path / "out.jsonl"),
    )
    assert status == 0
    assert "visites" in told
    status, _, error = run("trace", str(trace), "--mix", "odd")
    assert status == 2
    assert error.startswith("guichets: --mix 'odd': unknown; known: usual, ")
