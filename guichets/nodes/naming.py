"""How workers are called, so that a lease tells the node it is held on and the job that holds it."""

from __future__ import annotations

import socket

from guichets import configuration

SEPARATOR = "/"  # no node's name holds one


def node_name() -> str:
    """The name of this machine among the nodes: the setting, else the host name."""
    return str(configuration.read("GUICHETS_NODE")) or socket.gethostname()


def job_worker(node: str, job: str) -> str:
    """The worker's name of a Scrapyd job: ``node-a/ezbooking-20261124-0915-3f2c``."""
    return f"{node}{SEPARATOR}{job}"


def read_worker(worker: str) -> tuple[str, str] | None:
    """Node and job of a worker that Scrapyd started; None for any other."""
    node, separator, job = worker.partition(SEPARATOR)
    return (node, job) if separator else None
