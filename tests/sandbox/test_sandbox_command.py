"""``guichets sandbox`` as a process: ready file, catalogue, two copies, hosts by port, mistakes, ending."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from urllib.request import ProxyHandler, build_opener

import pytest

from guichets.catalogue import load
from guichets.errors import ArgumentError
from guichets.sandbox import Options, Sandbox
from guichets.sandbox.hosts import listen, name_of
from tests.sandbox_fixtures import COMMAND, ROOT, start_sandbox

OPENER = build_opener(ProxyHandler({}))


def get(url):
    with OPENER.open(url, timeout=30) as answer:
        return answer.read().decode()


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-c", COMMAND, "sandbox", *map(str, arguments)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.fixture
def started(tmp_path):
    running = []

    def start(name="one", **options):
        folder = tmp_path / name
        folder.mkdir()
        running.append(start_sandbox(folder, **{"desks": 6, "departements": 3, **options}))
        return running[-1]

    yield start
    for sandbox in running:
        sandbox.process.kill()
        sandbox.process.wait()


def test_the_catalogue_it_writes_is_a_good_one(started):
    sandbox = started(desks=30, departements=10)
    catalogue = load(sandbox.catalogue)
    assert (
        {desk.id for desk in catalogue.desks}
        == {desk["id"] for desk in sandbox.desks()}
        == set(sandbox.truth())
    )
    assert {desk.host for desk in catalogue.desks} == set(sandbox.hosts)
    assert len({desk.departement for desk in catalogue.desks}) == 10


def test_two_copies_run_at_once_and_do_not_mix(started):
    one, two = started("one", mixture="none"), started("two", mixture="closed-unavailable")
    assert not {one.control, *one.hosts} & {two.control, *two.hosts}
    get(one.desks()[0]["url"])
    assert len(one.ledger()) == 1
    assert two.ledger() == []
    assert {truth["outcome"] for truth in one.truth().values()} == {"none"}
    assert {truth["outcome"] for truth in two.truth().values()} == {"closed"}


def test_the_same_seed_gives_the_same_desks_in_another_process(started):
    start = "2026-03-29T00:30:00Z"
    one, two = started("one", mixture="lives", start=start), started("two", mixture="lives", start=start)
    first, second = one.truth(), two.truth()
    for truth in (*first.values(), *second.values()):
        del truth["host"]  # free ports differ
    assert first == second


def test_hosts_by_port_have_a_port_each(started):
    sandbox = started(host_scheme="port", mixture="none")
    assert len(sandbox.hosts) == 3
    assert {host.split(":")[0] for host in sandbox.hosts} == {"127.0.0.1"}
    assert len({host.split(":")[1] for host in sandbox.hosts}) == 3
    for desk in sandbox.desks():
        assert "FormBookingCreate" in get(desk["url"])
    assert len(load(sandbox.catalogue).desks) == 6


def test_ready_file_goes_when_it_ends_and_a_clean_run_exits_0(started, tmp_path):
    sandbox = started()
    ready = tmp_path / "one" / "ready.json"
    assert ready.exists()
    assert sandbox.stop() == 0
    assert not ready.exists()
    assert "0 interdites" in (tmp_path / "one" / "sandbox.log").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_broken_rule_is_told_at_the_end_and_exits_1(started, tmp_path, number):
    sandbox = started(mixture="none")
    get(sandbox.desks()[0]["url"].removesuffix("/0") + "/5/1/1")
    sandbox.process.send_signal(number)
    assert sandbox.process.wait(30) == 1
    assert "requête interdite : step-5, 1 fois" in (tmp_path / "one" / "sandbox.log").read_text()


def test_visitors_kept_waiting_do_not_hold_it_back(started):
    sandbox = started(mixture="hang", desks=30, departements=30)
    waiting = []
    for desk in sandbox.desks():
        address, port = desk["host"].split(":")
        waiting.append(socket.create_connection((address, int(port))))
        waiting[-1].sendall(f"GET {desk['url'].split(port)[1]} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert sandbox.stop() == 0
    for connection in waiting:
        connection.close()


def test_scenes_and_hosts_are_switched_from_outside(started):
    sandbox = started(mixture="none")
    sandbox.set_scene("*", "offered")
    assert {truth["outcome"] for truth in sandbox.truth().values()} == {"offered"}
    sandbox.set_host(sandbox.hosts[0], robots="User-agent: *\nDisallow: /\n")
    assert "Disallow: /" in get(f"http://{sandbox.hosts[0]}/robots.txt")
    with pytest.raises(AssertionError, match="no scene 'nothing'"):
        sandbox.set_scene("*", "nothing")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--desks", "-1"], "--desks -1: expected a number from 1 to"),
        (["--departements", "102"], "--departements 102: expected a number from 1 to 101"),
        (["--speed", "nan"], "--speed nan: expected a number from 0 to"),
        (["--port", "70000"], "--port 70000: expected a number from 0 to 65535"),
        (["--start", "tomorrow"], "--start 'tomorrow' is not an ISO instant"),
        (["--start", "2026-03-29T00:30:00"], "has no time zone"),
        (["--mixture", "nothing", "--port", "0"], "--mixture 'nothing' is unknown"),
        (["--host-scheme", "name", "--port", "0"], "--host-scheme 'name' is unknown"),
        (["--port", "0", "--ledger", "/nowhere/ledger"], "--ledger '/nowhere/ledger' cannot be written"),
        (["--port", "0", "--catalogue", "/dev/null/x"], "--catalogue '/dev/null/x' cannot be written"),
        (
            ["--port", "0", "--ready-file", "/nowhere/ready"],
            "--ready-file '/nowhere/ready' cannot be written",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exits_2(arguments, reason):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("guichets: ")
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("scheme", ["auto", "port"])
def test_a_port_in_use_is_said(scheme):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("--port", port, "--host-scheme", scheme)
    assert done.returncode == 2
    assert f"--port {port}: 127.0.0.1:{port} is in use; choose another" in done.stderr


async def test_a_catalogue_folder_of_someone_else_is_left_alone(tmp_path):
    (tmp_path / "92.toml").write_text("# mine\n")
    with pytest.raises(ArgumentError, match=r"holds 92\.toml, not a sandbox's"):
        async with Sandbox(Options(port=0, desks=1, catalogue=tmp_path)):
            pass
    assert (tmp_path / "92.toml").read_text() == "# mine\n"


async def test_a_catalogue_of_an_earlier_sandbox_is_replaced(tmp_path):
    for desks in (20, 3):
        async with Sandbox(Options(port=0, desks=desks, catalogue=tmp_path, ledger=tmp_path / "ledger")):
            assert len(load(tmp_path).desks) == desks


async def test_what_is_temporary_goes_with_the_sandbox():
    async with Sandbox(Options(port=0, desks=1)) as sandbox:
        folder, ledger = sandbox.catalogue, sandbox.ledger.path
        assert folder.is_dir()
    assert not folder.exists()
    assert not ledger.exists()


def test_hosts_by_address_share_the_port_of_the_control():
    sockets = listen(count=3, port=0, scheme="auto")
    try:
        names = [name_of(listener) for listener in (sockets.control, *sockets.hosts)]
        assert len(set(names)) == 4
        if sockets.scheme == "address":
            assert len({name.split(":")[1] for name in names}) == 1
    finally:
        sockets.close()


def test_failing_to_bind_leaves_nothing_open():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ArgumentError, match="is in use"):
            listen(count=1, port=port - 1, scheme="port")
    listen(count=1, port=port - 1, scheme="port").close()
