"""Crawls started by a real Scrapyd, on the sandbox and a real PostgreSQL, every warning an error."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from scrapy.settings import Settings
from scrapy.spiderloader import SpiderLoader

from guichets.nodes.client import Node, NodeError, NodeUnreachable
from tests.crawl_fixtures import ROOT, Workshop, clean_environment, read_rows, wait_until
from tests.database_fixtures import Database
from tests.sandbox_fixtures import RunningSandbox
from tests.scrapyd_fixtures import RunningNode, StartNode

LEASE_SECONDS = 4
AT_ONCE = ("GUICHETS_HOST_DELAY=0", "GUICHETS_FORM_INTERVAL=0", "GUICHETS_CONTROL_URLS=")
FOR_LONG = (  # the second request of each host is far away
    "GUICHETS_HOST_DELAY=600",
    "GUICHETS_FORM_INTERVAL=0",
    "GUICHETS_CONTROL_URLS=",
    f"GUICHETS_LEASE={LEASE_SECONDS}",
)
HELD = "SELECT lease_owner, lease_expires_at > now() AS lives FROM hosts WHERE lease_owner IS NOT NULL"


@pytest.fixture(scope="module")
def box(module_workshop: Workshop) -> RunningSandbox:
    """Four départements on four hosts, three desks each."""
    return module_workshop.sandbox(desks=12, departements=4, mixture="states")


@pytest.fixture
def environment(box: RunningSandbox, database: Database) -> Mapping[str, str]:
    return {"GUICHETS_DATABASE_URL": database.dsn, "GUICHETS_CATALOGUE": str(box.catalogue)}


def hosts_held(database: Database) -> list[str]:
    return [row["lease_owner"] for row in read_rows(database, HELD) if row["lives"]]


def start_long_job(node: RunningNode, database: Database) -> str:
    """A crawl that holds all four hosts and waits."""
    job = node.node.schedule("ezbooking", {"minutes": "5"}, FOR_LONG)
    wait_until(lambda: len(hosts_held(database)) == 4, "the job to hold four hosts")
    assert set(hosts_held(database)) == {f"node-a/{job}"}
    return job


def last_of(log: str, name: str) -> int:
    """A figure of Scrapy's final statistics."""
    found = re.search(rf"'{name}': (\d+)", log)
    assert found, log
    return int(found.group(1))


def test_scheduled_crawl_is_followed_to_its_end(
    scrapyd: StartNode, environment: Mapping[str, str], database: Database, box: RunningSandbox
) -> None:
    departement = sorted({desk["departement"] for desk in box.desks()})[0]
    node = scrapyd(environment)
    asked = {"departements": departement, "minutes": "0.05"}
    job = node.node.schedule("ezbooking", asked, AT_ONCE, job="ezbooking-first")
    assert job == "ezbooking-first"
    told = node.wait_for(job, "finished")

    log = node.node.log(job, "ezbooking")
    items = node.node.items(job, "ezbooking")
    rows = read_rows(database, "SELECT desk_id, outcome::text, worker, counter_key FROM observations")
    expected = {desk: truth["outcome"] for desk, truth in box.truth().items() if desk.startswith(departement)}
    assert {row["desk_id"]: row["outcome"] for row in rows if row["counter_key"] is None} == expected
    assert {row["worker"] for row in rows} == {f"node-a/{job}"}
    assert len(items) == len(rows) == last_of(log, "item_scraped_count")
    assert told.log == f"/logs/guichets/ezbooking/{job}.log"
    assert "WARNING" not in log
    assert not read_rows(database, HELD)
    assert "Process finished: " in node.log_file.read_text()


def test_cancelled_job_gives_its_hosts_back_at_once(
    scrapyd: StartNode, environment: Mapping[str, str], database: Database
) -> None:
    node = scrapyd(environment)
    job = start_long_job(node, database)
    assert node.node.cancel(job) == "running"
    node.wait_for(job, "finished")
    assert not read_rows(database, HELD)
    assert read_rows(database, "SELECT finish_reason FROM crawls") == [{"finish_reason": "shutdown"}]


def test_killed_job_holds_its_hosts_no_longer_than_the_lease(
    scrapyd: StartNode, environment: Mapping[str, str], database: Database
) -> None:
    node = scrapyd(environment)
    job = start_long_job(node, database)
    node.node.cancel(job, "KILL")
    node.wait_for(job, "finished")
    killed_at = time.monotonic()
    assert hosts_held(database)
    wait_until(lambda: not hosts_held(database), "the leases to run out", LEASE_SECONDS + 1)
    assert time.monotonic() - killed_at <= LEASE_SECONDS + 0.5
    other = node.node.schedule("ezbooking", {"due": "all", "minutes": "0.1"}, FOR_LONG)
    wait_until(lambda: f"node-a/{other}" in hosts_held(database), "another job to take the hosts")


def test_stopped_node_ends_its_jobs_in_order_and_remembers_them(
    scrapyd: StartNode, environment: Mapping[str, str], database: Database
) -> None:
    node = scrapyd(environment)
    job = start_long_job(node, database)
    assert node.stop() == -signal.SIGTERM  # twistd first stops in order, then ends by the signal it was sent
    assert not read_rows(database, HELD)
    assert read_rows(database, "SELECT finish_reason FROM crawls") == [{"finish_reason": "shutdown"}]
    again = scrapyd({**environment, "GUICHETS_HOME": str(node.home)}, home=node.home)
    told = again.job(job)
    assert told is not None
    assert told.state == "finished"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_jobs_of_a_killed_node_end_in_order(
    scrapyd: StartNode, environment: Mapping[str, str], database: Database
) -> None:
    node = scrapyd(environment)
    start_long_job(node, database)
    node.process.kill()
    wait_until(lambda: not read_rows(database, HELD), "the hosts to be given back", LEASE_SECONDS)
    wait_until(
        lambda: read_rows(database, "SELECT finish_reason FROM crawls") == [{"finish_reason": "shutdown"}],
        "the crawl to end",
    )


def test_node_answers_nobody_without_its_password(scrapyd: StartNode, environment: Mapping[str, str]) -> None:
    node = scrapyd(environment)
    password = node.credentials_file.read_text().split("@")[0].rpartition(":")[2]
    assert node.credentials_file.stat().st_mode & 0o777 == 0o600
    assert password not in node.log_file.read_text()
    for pair in ("", "guichets:", "guichets:guichets", ":", "guichets:wrong"):
        headers = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"} if pair else {}
        for path in ("daemonstatus.json", "logs/", "jobs", ""):
            request = urllib.request.Request(f"{node.address}/{path}", headers=headers)
            with pytest.raises(urllib.error.HTTPError, match="401") as refused:
                urllib.request.urlopen(request, timeout=10)
            refused.value.close()
    with pytest.raises(NodeError, match=rf"^node {node.address}: its password is missing: see "):
        Node(node.address).name()


def test_password_of_the_environment_is_used_and_written_nowhere(
    scrapyd: StartNode, environment: Mapping[str, str]
) -> None:
    node = scrapyd({**environment, "SCRAPYD_PASSWORD": "of-the-environment"}, password="of-the-environment")
    known = sorted(SpiderLoader.from_settings(Settings({"SPIDER_MODULES": ["spiders"]})).list())
    assert sorted(node.node.families()) == known
    assert not node.credentials_file.exists()


def test_refused_jobs_are_told_in_one_line(scrapyd: StartNode, environment: Mapping[str, str]) -> None:
    node = scrapyd(environment)
    with pytest.raises(NodeError, match=r"schedule\.json: spider 'ezboking' not found$"):
        node.node.schedule("ezboking", {})
    node.stop()
    with pytest.raises(
        NodeUnreachable, match=rf"^node {node.address} cannot be reached: Connection refused$"
    ):
        node.node.jobs()


def test_egg_is_deployed_by_scrapyd_client_and_crawls(
    scrapyd: StartNode,
    environment: Mapping[str, str],
    database: Database,
    tmp_path: Path,
    box: RunningSandbox,
) -> None:
    folder = tmp_path / "elsewhere"  # without scrapy.cfg: what is crawled with can only come from the egg
    folder.mkdir()
    shutil.copy(ROOT / "deploy/scrapyd.conf", folder)
    node = scrapyd(environment, cwd=folder)
    egg = other_version(build_egg(tmp_path), tmp_path / "guichets.egg", "9.9.9")

    deployed = deploy(egg, node, tmp_path)
    assert '"status": "ok"' in deployed, deployed
    assert node.node.versions()["egg"] == "9-9-9"
    job = node.node.schedule("ezbooking", {"due": "all"}, AT_ONCE)
    node.wait_for(job, "finished")

    log = node.node.log(job, "ezbooking")
    (crawl,) = read_rows(database, "SELECT version, finish_reason, worker FROM crawls")
    assert crawl == {"version": "9.9.9", "finish_reason": "finished", "worker": f"node-a/{job}"}, log
    seen = read_rows(database, "SELECT FROM observations WHERE counter_key IS NULL")
    assert len(seen) == len(box.truth()), log
    assert "WARNING" not in log


def test_egg_serves_without_any_database_or_catalogue_of_ones_own(
    tmp_path: Path, box: RunningSandbox
) -> None:
    """The bundled catalogue, the migrations and the embedded server's keeper all come out of the egg."""
    egg = other_version(build_egg(tmp_path), tmp_path / "guichets.egg", "9.9.9")
    told = {}
    for words in (("catalogue", "check"), ("db", "upgrade"), ("db", "stop")):
        told[words] = subprocess.run(
            [sys.executable, "-P", "-m", "guichets", *words],
            cwd=tmp_path,
            env={**clean_environment(), "PYTHONPATH": str(egg), "GUICHETS_HOME": str(tmp_path / "home")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    for words, done in told.items():
        assert done.returncode == 0, f"{words}: {done.stderr}"
    assert "desks" in told["catalogue", "check"].stdout
    assert "applied" in told["db", "upgrade"].stdout
    # its keeper may have stopped it before we could
    assert told["db", "stop"].stdout.startswith(("Stopped: ", "Not running: "))


def build_egg(folder: Path) -> Path:
    egg = folder / "built.egg"
    subprocess.run([sys.executable, str(ROOT / "deploy/egg.py"), str(egg)], check=True, timeout=60)
    return egg


def other_version(egg: Path, copy: Path, version: str) -> Path:
    """The same egg telling another version, so that what it did can be told from the installed package."""
    with zipfile.ZipFile(egg) as source, zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            data = source.read(name)
            if name == "guichets/__init__.py":
                data, changes = re.subn(rb'__version__ = ".*"', f'__version__ = "{version}"'.encode(), data)
                assert changes == 1
            target.writestr(name, data)
    return copy


def deploy(egg: Path, node: RunningNode, folder: Path) -> str:
    """``scrapyd-deploy`` with the project's own scrapy.cfg, aimed at this node."""
    project = folder / "project"
    project.mkdir()
    text = (ROOT / "scrapy.cfg").read_text().replace("http://127.0.0.1:6800/", f"{node.address}/")
    (project / "scrapy.cfg").write_text(text)
    password = node.credentials_file.read_text().split("@")[0].rpartition(":")[2]
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [str(Path(sys.executable).parent / "scrapyd-deploy"), "--egg", str(egg), "-v", "9-9-9"],
        cwd=project,
        env={**clean_environment(), "SCRAPYD_PASSWORD": password, "HOME": str(folder), **no_proxy()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def no_proxy() -> Mapping[str, Any]:
    return {"NO_PROXY": "127.0.0.1", "PATH": os.environ["PATH"]}
