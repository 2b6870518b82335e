"""Two Scrapyd nodes on one database: asked for crawls by timers, and shown."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crawl_fixtures import ROOT, Workshop, clean_environment, read_rows, wait_until
from tests.database_fixtures import Database
from tests.scrapyd_fixtures import RunningNode, end_node, free_port, start_node

SETTINGS = (
    "GUICHETS_HOST_DELAY=600",
    "GUICHETS_FORM_INTERVAL=0",
    "GUICHETS_CONTROL_URLS=",
    "GUICHETS_MAX_HOSTS=2",
)
HELD = "SELECT FROM hosts WHERE lease_owner IS NOT NULL"
GUICHETS = str(Path(sys.executable).parent / "guichets")


class Cluster:
    """Two nodes and what a person at a terminal knows of them."""

    def __init__(self, nodes: list[RunningNode], database: Database, credentials: Path) -> None:
        self.nodes = nodes
        self.database = database
        self.credentials = credentials
        self.addresses = [node.address for node in nodes]
        self.environment = {
            **clean_environment(),
            "GUICHETS_DATABASE_URL": database.dsn,
            "GUICHETS_HOME": str(credentials.parent),
            "GUICHETS_NODES": ",".join(self.addresses),
            "PYTHONWARNINGS": "error",
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.execute([GUICHETS, *words])

    def execute(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )

    def shown(self, *words: str) -> dict[str, Any]:
        done = self.run("nodes", "--format", "json", *words)
        assert not done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def running(self) -> list[str]:
        return [job.id for node in self.nodes for job in node.node.jobs() if job.state == "running"]

    def cancel_all(self) -> None:
        for node in self.nodes:
            for job in node.node.jobs():
                if job.state != "finished":
                    node.node.cancel(job.id)
        wait_until(lambda: not self.running(), "the jobs to end")


@pytest.fixture(scope="module")
def cluster(module_workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """node-a and node-b over one sandbox of four hosts."""
    box = module_workshop.sandbox(desks=12, departements=4)
    database = module_workshop.database()
    environment = {"GUICHETS_DATABASE_URL": database.dsn, "GUICHETS_CATALOGUE": str(box.catalogue)}
    nodes: list[RunningNode] = []
    try:
        for name in ("node-a", "node-b"):
            home = tmp_path_factory.mktemp(name)
            nodes.append(start_node(home, environment, name=name, cwd=ROOT / "deploy", password=None))
        credentials = tmp_path_factory.mktemp("person") / "nodes.credentials"
        credentials.touch(0o600)
        credentials.write_text("".join(node.credentials_file.read_text() for node in nodes))
        yield Cluster(nodes, database, credentials)
    finally:
        for node in nodes:
            end_node(node)


@pytest.fixture(autouse=True)
def idle(cluster: Cluster) -> Iterator[None]:
    yield
    cluster.cancel_all()


def ask_for_crawls(cluster: Cluster, *words: str) -> subprocess.CompletedProcess[str]:
    settings = [word for setting in SETTINGS for word in ("--setting", setting)]
    return cluster.run("schedule", "now", "--minutes", "5", "--family", "ezbooking", *settings, *words)


def test_nodes_show_jobs_versions_and_the_hosts_they_hold(cluster: Cluster) -> None:
    done = ask_for_crawls(cluster)
    assert (done.returncode, done.stderr) == (0, "")
    wait_until(lambda: len(read_rows(cluster.database, HELD)) == 4, "both nodes to hold their hosts")
    found = cluster.shown()
    assert [node["name"] for node in found["nodes"]] == ["node-a", "node-b"]
    for node, address in zip(found["nodes"], cluster.addresses, strict=True):
        (job,) = [job for job in node["jobs"] if job["state"] == "running"]
        assert (job["family"], job["hosts"], node["hosts"]) == ("ezbooking", 2, 2)
        assert f"{address} ezbooking: {job['job']}\n" in done.stdout
        assert set(node["versions"]) == {"guichets", "python", "scrapy", "scrapyd"}
    assert found["others"] == {}


def test_crawl_under_way_is_not_doubled_by_the_next_timer(cluster: Cluster) -> None:
    ask_for_crawls(cluster)
    wait_until(lambda: len(cluster.running()) == 2, "both jobs to run")
    again = ask_for_crawls(cluster)
    assert again.stdout.count("a crawl is under way, none added") == 2
    assert len(cluster.running()) == 2


def test_hosts_held_outside_the_nodes_are_shown_apart(cluster: Cluster) -> None:
    statement = "UPDATE hosts SET lease_owner = %s, lease_expires_at = now() + '5 min' WHERE host = " + (
        "(SELECT min(host) FROM hosts)"
    )
    ask_for_crawls(cluster)
    wait_until(lambda: read_rows(cluster.database, "SELECT FROM hosts"), "the catalogue to be synced")
    cluster.cancel_all()
    with cluster.database.connect() as connection:
        connection.execute(statement, ["node-c-123"])
    try:
        done = cluster.run("nodes")
        assert "elsewhere: node-c-123, 1 hosts held" in done.stdout
    finally:
        with cluster.database.connect() as connection:
            connection.execute("UPDATE hosts SET lease_owner = NULL, lease_expires_at = NULL")


def test_finished_jobs_show_how_they_ended(cluster: Cluster) -> None:
    ask_for_crawls(cluster)
    wait_until(lambda: len(read_rows(cluster.database, HELD)) == 4, "both nodes to hold their hosts")
    cluster.cancel_all()
    for node in cluster.shown("--finished", "1")["nodes"]:
        assert [job["finish_reason"] for job in node["jobs"]] == ["shutdown"]


def test_node_that_does_not_answer_is_one_line_and_the_others_are_shown(cluster: Cluster) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    done = cluster.run("nodes", "--node", cluster.addresses[0], "--node", nowhere)
    assert done.returncode == 1
    assert done.stderr == f"guichets: node {nowhere} cannot be reached: Connection refused\n"
    assert done.stdout.startswith("node-a  ")
    asked = ask_for_crawls(cluster, "--node", nowhere, "--node", cluster.addresses[0])
    assert asked.returncode == 1
    assert asked.stderr == done.stderr
    assert f"{cluster.addresses[0]} ezbooking: " in asked.stdout


def test_unknown_hosts_are_not_shown_as_none_when_the_database_is_away(cluster: Cluster) -> None:
    cluster.environment["GUICHETS_DATABASE_URL"] = f"postgresql://127.0.0.1:{free_port()}/nothing"
    try:
        done = cluster.run("nodes", "--node", cluster.addresses[0])
    finally:
        cluster.environment["GUICHETS_DATABASE_URL"] = cluster.database.dsn
    assert done.returncode == 0
    assert "? hosts held" in done.stdout
    assert done.stderr.count("\n") == 1
    assert "hosts held are not known" in done.stderr


def test_installed_service_asks_the_nodes_without_a_password_on_its_command_line(
    cluster: Cluster, tmp_path: Path
) -> None:
    done = cluster.run(
        "schedule", "install", "--every", "15m", "--family", "ezbooking", "--out", str(tmp_path)
    )
    assert done.returncode == 0, done.stderr
    service = (tmp_path / "guichets-schedule.service").read_text()
    timer = (tmp_path / "guichets-schedule.timer").read_text()
    assert not [password for password in passwords(cluster) if password in service + timer]
    assert f"ExecStart={GUICHETS} schedule now " in service
    command = next(line for line in service.splitlines() if line.startswith("ExecStart="))
    asked = cluster.execute(shlex.split(command.partition("=")[2]))
    assert (asked.returncode, asked.stderr) == (0, "")
    assert asked.stdout.count(" ezbooking: ezbooking-") == 2


def test_crontab_line_asks_the_nodes(cluster: Cluster, tmp_path: Path) -> None:
    words = ("schedule", "install", "--every", "15m", "--format", "crontab", "--out", str(tmp_path))
    assert cluster.run(*words).returncode == 0
    line = (tmp_path / "guichets.crontab").read_text().splitlines()[-1]
    assert not [password for password in passwords(cluster) if password in line]
    command = line.removeprefix("*/15 * * * * ")
    asked = cluster.execute(["/bin/sh", "-c", command.replace(r"\%", "%")])
    assert asked.returncode == 0, asked.stderr
    assert asked.stdout.count(" ezbooking: ezbooking-") == 2


def test_dry_run_writes_nothing(cluster: Cluster, tmp_path: Path) -> None:
    done = cluster.run("schedule", "install", "--every", "2h", "--dry-run", "--out", str(tmp_path))
    assert "OnUnitActiveSec=7200s" in done.stdout
    assert "--minutes 119" in done.stdout
    assert not list(tmp_path.iterdir())


def passwords(cluster: Cluster) -> list[str]:
    found = [line.split("@")[0].rpartition(":")[2] for line in cluster.credentials.read_text().splitlines()]
    assert len(found) == 2
    return found


def test_password_that_others_may_read_is_not_used(cluster: Cluster, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.write_text(cluster.credentials.read_text())
    copy.chmod(0o644)
    done = cluster.run("nodes", "--credentials", str(copy))
    assert done.returncode == 2
    assert done.stderr == f"guichets: {copy}: others may read these passwords: chmod 600 {copy}\n"
