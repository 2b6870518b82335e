"""A Scrapyd node, asked through its HTTP API."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from guichets import configuration
from guichets.errors import ArgumentError, GuichetsError
from guichets.nodes.credentials import Credentials, credentials_file, read_credentials

PROJECT = "guichets"
TIMEOUT_SECONDS = 20.0  # Scrapyd imports the whole project before it answers the first question about spiders

_opener = build_opener(ProxyHandler({}))  # nodes are our own machines: no proxy stands before them


class NodeError(GuichetsError):
    """A node did not do what it was asked; one line, with its address."""


class NodeUnreachable(NodeError):
    """Nothing answers at the node's address."""


class NotOffered(NodeError):
    """The node has no such service: it is not started with our ``deploy/scrapyd.conf``."""


@dataclass(frozen=True, slots=True)
class Job:
    """One crawl that a node was asked for."""

    id: str
    family: str
    state: str  # pending, running or finished
    started_at: str | None = None  # by the node's own clock, without zone
    ended_at: str | None = None
    log: str | None = None  # path on the node's site
    pid: int | None = None


class Node:
    """One Scrapyd. Its methods raise NodeUnreachable or NodeError, in one line."""

    def __init__(
        self, address: str, credentials: Credentials | None = None, *, file: Path | None = None
    ) -> None:
        self.address = address.rstrip("/")
        self._credentials = credentials
        self._file = file  # where they were looked for

    def name(self) -> str:
        """What it calls itself, as in its workers' names."""
        return str(self._ask("daemonstatus.json")["node_name"])

    def versions(self) -> Mapping[str, str]:
        """Versions of what it runs, by name; ``egg`` when crawls come from one."""
        try:
            told = self._ask("version.json")
        except NotOffered:
            told = {}
        found = {str(name): str(value) for name, value in told.get("versions", {}).items()}
        eggs = self._ask("listversions.json", {"project": PROJECT})["versions"]
        return {**found, "egg": str(eggs[-1])} if eggs else found

    def families(self) -> list[str]:
        """The spiders it can start."""
        return [str(name) for name in self._ask("listspiders.json", {"project": PROJECT})["spiders"]]

    def jobs(self) -> list[Job]:
        """Its jobs, pending first, then running, then finished."""
        told = self._ask("listjobs.json", {"project": PROJECT})
        return [_read_job(row, state) for state in ("pending", "running", "finished") for row in told[state]]

    def schedule(
        self, family: str, arguments: Mapping[str, str], settings: Iterable[str] = (), job: str | None = None
    ) -> str:
        """Ask for a crawl; the id of its job."""
        fields = [("project", PROJECT), ("spider", family), *arguments.items()]
        fields += [("setting", setting) for setting in settings]
        if job is not None:
            fields.append(("jobid", job))
        return str(self._ask("schedule.json", post=fields)["jobid"])

    def cancel(self, job: str, signal: str = "INT") -> str | None:
        """Send a signal to a running job, or forget a pending one; the state it was in."""
        fields = [("project", PROJECT), ("job", job), ("signal", signal)]
        state = self._ask("cancel.json", post=fields)["prevstate"]
        return None if state is None else str(state)

    def log(self, job: str, family: str) -> str:
        """The log of a job."""
        return self._fetch(f"logs/{PROJECT}/{family}/{job}.log").decode("utf-8", errors="replace")

    def items(self, job: str, family: str) -> list[Any]:
        """The observations a job wrote, as long as the node keeps them."""
        text = self._fetch(f"items/{PROJECT}/{family}/{job}.jl").decode("utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def _ask(
        self,
        service: str,
        query: Mapping[str, str] | None = None,
        post: Sequence[tuple[str, str]] | None = None,
    ) -> dict[str, Any]:
        path = service + (f"?{urlencode(query)}" if query else "")
        body = self._fetch(path, None if post is None else urlencode(post).encode())
        try:
            told = json.loads(body)
            status = told["status"]
        except (ValueError, KeyError, TypeError):
            raise NodeError(f"node {self.address}: {service}: this is not Scrapyd's answer") from None
        if status != "ok":  # with an HTTP status of 200
            reason = str(told.get("message", status)).strip().splitlines() or [str(status)]
            raise NodeError(f"node {self.address}: {service}: {reason[-1]}")
        return dict(told)

    def _fetch(self, path: str, body: bytes | None = None) -> bytes:
        request = Request(f"{self.address}/{path}", body)
        if self._credentials is not None:
            pair = f"{self._credentials.user}:{self._credentials.password}".encode()
            request.add_header("Authorization", f"Basic {base64.b64encode(pair).decode()}")
        try:
            with _opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                return bytes(answer.read())
        except HTTPError as error:
            with error:
                raise self._refused(path, error.code) from None
        except URLError as error:
            raise NodeUnreachable(f"node {self.address} cannot be reached: {_reason(error.reason)}") from None
        except (OSError, HTTPException) as error:
            raise NodeUnreachable(f"node {self.address} cannot be reached: {_reason(error)}") from None

    def _refused(self, path: str, status: int) -> NodeError:
        if status == 401:
            hint = "its password is missing" if self._credentials is None else "it refuses the password"
            return NodeError(f"node {self.address}: {hint}: see {self._file or credentials_file()}")
        if status == 404:
            return NotOffered(f"node {self.address}: there is no {path.partition('?')[0]}")
        return NodeError(f"node {self.address}: {path.partition('?')[0]}: HTTP status {status}")


def open_nodes(addresses: Iterable[str] | None = None, credentials: Path | None = None) -> list[Node]:
    """The nodes at these addresses, else of GUICHETS_NODES, with their passwords; nothing is sent yet.

    Raises ArgumentError for an address that cannot be one, or that holds a password.
    """
    given = [address.strip().rstrip("/") for address in addresses or configuration.read("GUICHETS_NODES")]
    file = credentials_file(credentials)
    known = read_credentials(file)
    addresses = dict.fromkeys(map(check_address, given))
    return [Node(address, known.get(address), file=file) for address in addresses]


def check_address(address: str) -> str:
    """The address of a node, or ArgumentError."""
    try:
        parts = urlsplit(address)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if usable and "@" in parts.netloc:
        raise ArgumentError(
            "the address of a node holds a password, which others could read: "
            f"write that line into {credentials_file()}, and leave the password out here"
        )
    if not usable or parts.query or parts.fragment:
        raise ArgumentError(f"node {address!r}: expected an address such as http://127.0.0.1:6800")
    return address


def new_job(family: str, now: datetime) -> str:
    """An id that sorts and that a person can read; its end keeps two of the same second apart."""
    return f"{family}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _read_job(row: Mapping[str, Any], state: str) -> Job:
    return Job(
        id=str(row["id"]),
        family=str(row["spider"]),
        state=state,
        started_at=row.get("start_time"),
        ended_at=row.get("end_time"),
        log=row.get("log_url"),
        pid=row.get("pid"),
    )


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer in {TIMEOUT_SECONDS:.0f} seconds"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
