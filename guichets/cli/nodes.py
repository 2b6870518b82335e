"""``guichets nodes``: what each Scrapyd node runs, in which version, and which hosts its jobs hold."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from guichets.nodes.client import Job, Node

PIPED_WIDTH = 200
AT_ONCE = 16  # nodes asked at the same time


class NodesFormat(StrEnum):
    TABLE = "table"
    JSON = "json"


@dataclass(slots=True)
class JobState:
    """A job, and what the database knows of its crawl."""

    job: str
    family: str
    state: str
    started_at: str | None
    ended_at: str | None
    hosts: int | None = None  # held now; None: the database did not tell
    items: int | None = None  # None: not finished, or not known
    finish_reason: str | None = None


@dataclass(slots=True)
class NodeState:
    """A node that answered."""

    address: str
    name: str
    versions: Mapping[str, str]
    jobs: list[JobState]
    hosts: int | None = (
        None  # held now by all workers of that name, jobs it still knows or not; None: not told
    )


@dataclass(slots=True)
class Overview:
    """All that ``guichets nodes`` shows."""

    nodes: list[NodeState] = field(default_factory=list)
    others: dict[str, int] = field(default_factory=dict)  # hosts held by workers of no node asked
    unreachable: list[str] = field(default_factory=list)  # one line each


def nodes(
    node: Annotated[
        list[str] | None,
        typer.Option("--node", help="Address of a node; repeat the option. Else GUICHETS_NODES."),
    ] = None,
    finished: Annotated[int, typer.Option(min=0, help="How many finished jobs of each node to show.")] = 3,
    credentials: Annotated[
        Path | None,
        typer.Option(help="File of the nodes' passwords, mode 600. Else GUICHETS_NODE_CREDENTIALS."),
    ] = None,
    format_: Annotated[NodesFormat, typer.Option("--format", help="How to print it.")] = NodesFormat.TABLE,
) -> None:
    """Show each node's jobs, versions and the hosts its jobs hold. Exit status 1 when one does not answer."""
    from guichets.errors import DatabaseError
    from guichets.nodes.client import open_nodes

    found = read_nodes(open_nodes(node, credentials), finished=finished)
    try:
        add_leases(found)
    except DatabaseError as error:
        typer.echo(f"guichets: {error}; hosts held are not known", err=True)
    if format_ is NodesFormat.JSON:
        import json

        typer.echo(json.dumps(asdict(found), ensure_ascii=False, indent=2))
    else:
        _print_table(found)
    for line in found.unreachable:
        typer.echo(f"guichets: {line}", err=True)
    if found.unreachable:
        raise typer.Exit(1)


def read_nodes(asked: Iterable[Node], *, finished: int) -> Overview:
    """What the nodes themselves tell, all asked at once."""
    from guichets.nodes.client import NodeError

    found = Overview()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for waiting in [pool.submit(_read_node, node, finished) for node in asked]:
            try:
                found.nodes.append(waiting.result())
            except NodeError as error:
                found.unreachable.append(str(error))
    return found


def add_leases(found: Overview) -> None:
    """What the database knows of their jobs. Raises DatabaseError when it cannot be asked."""
    from psycopg.rows import dict_row

    from guichets.cli._session import open_session
    from guichets.database.queries import load_queries
    from guichets.nodes.naming import job_worker, read_worker

    queries = load_queries("guichets.cli", "nodes.sql")
    jobs = {job_worker(node.name, job.job): job for node in found.nodes for job in node.jobs}
    by_name = {node.name: node for node in found.nodes}
    with open_session("reader") as connection, connection.cursor(row_factory=dict_row) as cursor:
        leases = cursor.execute(queries["leases"]).fetchall()
        crawls = cursor.execute(queries["crawls"], {"workers": list(jobs)}).fetchall()
    for job in jobs.values():
        job.hosts = 0
    for node in found.nodes:
        node.hosts = 0
    for row in leases:
        named = read_worker(row["worker"])
        if named is None or named[0] not in by_name:
            found.others[row["worker"]] = row["hosts"]
            continue
        node = by_name[named[0]]
        node.hosts = (node.hosts or 0) + row["hosts"]
        if row["worker"] in jobs:
            jobs[row["worker"]].hosts = row["hosts"]
    for row in crawls:
        job = jobs[row["worker"]]
        job.items, job.finish_reason = row["items"], row["finish_reason"]


def _read_node(node: Node, finished: int) -> NodeState:
    jobs = node.jobs()
    done = [job for job in jobs if job.state == "finished"]
    done.sort(key=lambda job: job.ended_at or "", reverse=True)
    shown = [job for job in jobs if job.state != "finished"] + done[:finished]
    return NodeState(node.address, node.name(), node.versions(), [_state(job) for job in shown])


def _state(job: Job) -> JobState:
    return JobState(
        job.id, job.family, job.state, _to_the_second(job.started_at), _to_the_second(job.ended_at)
    )


def _to_the_second(instant: str | None) -> str | None:
    return instant.partition(".")[0] if instant else None


def _print_table(found: Overview) -> None:
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    for node in found.nodes:
        versions = ", ".join(f"{name} {version}" for name, version in node.versions.items()) or "not known"
        counts = ", ".join(
            f"{sum(job.state == state for job in node.jobs)} {state}" for state in ("running", "pending")
        )
        console.print(
            f"{node.name}  {node.address}  {versions}  {counts}, {_told(node.hosts)} hosts held",
            markup=False,
            soft_wrap=True,
        )
        if node.jobs:
            console.print(_jobs_table(node.jobs))
    for worker, hosts in found.others.items():
        console.print(f"elsewhere: {worker}, {hosts} hosts held", markup=False, soft_wrap=True)


def _told(number: int | None) -> str:
    return "?" if number is None else str(number)


def _jobs_table(jobs: list[JobState]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=True, padding=(0, 1))
    for column in ("job", "family", "state", "started", "ended", "hosts", "items", "end"):
        table.add_column(column, no_wrap=True, justify="right" if column in {"hosts", "items"} else "left")
    for job in jobs:
        cells: list[Any] = [job.job, job.family, job.state, job.started_at, job.ended_at, _told(job.hosts)]
        cells += [job.items, job.finish_reason]
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in cells))
    return table
