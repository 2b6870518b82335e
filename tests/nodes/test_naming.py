"""A worker's name tells its node."""

from __future__ import annotations

import os

import pytest

from guichets.crawl.preparation import worker_name
from guichets.errors import ConfigurationError
from guichets.nodes.naming import job_worker, node_name, read_worker


def test_worker_of_a_job_tells_node_and_job() -> None:
    assert read_worker(job_worker("node-a", "ezbooking-1")) == ("node-a", "ezbooking-1")


def test_worker_outside_scrapyd_bears_its_node_and_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GUICHETS_WORKER", raising=False)
    monkeypatch.setenv("GUICHETS_NODE", "node-b")
    assert worker_name({}) == f"node-b-{os.getpid()}"
    assert read_worker(worker_name({})) is None


def test_node_is_the_host_unless_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GUICHETS_NODE", raising=False)
    assert node_name() == os.uname().nodename


def test_name_of_a_node_that_would_read_as_a_job_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUICHETS_NODE", "node/b")
    with pytest.raises(ConfigurationError, match=r"^GUICHETS_NODE='node/b': expected letters, digits"):
        node_name()
