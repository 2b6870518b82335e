"""A real Scrapyd on a free loopback port, started as ``make scrapyd`` starts it, gone with the test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from guichets.nodes.client import Job, Node, NodeUnreachable, open_nodes
from guichets.nodes.credentials import Credentials
from tests.crawl_fixtures import ROOT, clean_environment, wait_until

STOP_SECONDS = 30

StartNode = Callable[..., "RunningNode"]


@dataclass
class RunningNode:
    """A started Scrapyd, and how to ask it."""

    process: subprocess.Popen[bytes]
    node: Node
    home: Path
    address: str

    @property
    def log_file(self) -> Path:
        return self.home / "scrapyd.log"

    @property
    def credentials_file(self) -> Path:
        return self.home / "nodes.credentials"

    def job(self, job: str) -> Job | None:
        """What the node says of a job."""
        return next((found for found in self.node.jobs() if found.id == job), None)

    def wait_for(self, job: str, state: str) -> Job:
        """Wait until a job is pending, running or finished."""

        def found() -> Job | None:
            told = self.job(job)
            return told if told is not None and told.state == state else None

        answer: Job = wait_until(found, f"job {job} to be {state}")
        return answer

    def stop(self) -> int:
        """End it as an init system would; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_node(
    home: Path, environment: Mapping[str, str], *, name: str, cwd: Path, password: str | None
) -> RunningNode:
    """Scrapyd, every warning an error there and in its jobs; without a password it makes its own."""
    port = free_port()
    home.mkdir(parents=True, exist_ok=True)
    with (home / "scrapyd.log").open("wb") as log:
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / "scrapyd"), "--pidfile="],
            cwd=cwd,
            env={
                **clean_environment(),
                "HOME": str(home),  # a user's own ~/.scrapyd.conf must not change the test
                "PYTHONWARNINGS": "error",
                "GUICHETS_HOME": str(home),
                "GUICHETS_NODE": name,
                "SCRAPYD_HTTP_PORT": str(port),
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    running = RunningNode(process, Node(address), home, address)

    def answers() -> bool:
        assert process.poll() is None, running.log_file.read_text(errors="replace")
        if password is not None:
            running.node = Node(address, Credentials("guichets", password))
        elif running.credentials_file.exists():
            (running.node,) = open_nodes([address], running.credentials_file)
        else:
            return False
        with suppress(NodeUnreachable):
            return bool(running.node.name())
        return False

    try:
        wait_until(answers, "Scrapyd to answer")
    except BaseException:
        process.kill()
        process.wait()
        raise
    return running


@pytest.fixture
def scrapyd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartNode]:
    """Start nodes: ``scrapyd(environment, name="node-b")``; whatever happens, none is left."""
    started: list[RunningNode] = []

    def start(
        environment: Mapping[str, str],
        *,
        name: str = "node-a",
        home: Path | None = None,
        cwd: Path = ROOT / "deploy",
        password: str | None = None,
    ) -> RunningNode:
        folder = home or tmp_path_factory.mktemp("node")
        node = start_node(folder, environment, name=name, cwd=cwd, password=password)
        started.append(node)
        return node

    yield start
    for node in started:
        end_node(node)


def end_node(node: RunningNode) -> None:
    """Stop it and whatever it started, by force if it must be."""
    pids = [job.pid for job in node.node.jobs() if job.pid] if node.process.poll() is None else []
    with suppress(subprocess.TimeoutExpired):
        node.stop()
    node.process.kill()
    node.process.wait()
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
