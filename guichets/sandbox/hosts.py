"""One host of its own per préfecture: loopback addresses where the system has them, else ports."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from guichets.errors import ArgumentError, GuichetsError

CONTROL_ADDRESS = "127.0.0.1"
SCHEMES = ("auto", "address", "port")
HOSTS_PER_BLOCK = 250  # 127.0.20.1 to 127.0.20.250, then 127.0.21.1
FIRST_BLOCK = 20
ATTEMPTS = 20  # free ports tried, when any will do
BACKLOG = 512


@dataclass(frozen=True, slots=True)
class Sockets:
    """Listening sockets: the control's, and one per host in order."""

    control: socket.socket
    hosts: tuple[socket.socket, ...]
    scheme: str  # address, or port

    def close(self) -> None:
        for listener in (self.control, *self.hosts):
            listener.close()


def name_of(listener: socket.socket) -> str:
    """``address:port``."""
    address, port = listener.getsockname()
    return f"{address}:{port}"


def listen(*, count: int, port: int, scheme: str = "auto") -> Sockets:
    """Bind ``count`` hosts and the control; with ``port`` 0, on whatever port is free.

    By address, every host and the control have the same port; by port, the control has ``port`` and the
    hosts those that follow.
    """
    if scheme not in SCHEMES:
        raise ArgumentError(f"--host-scheme {scheme!r} is unknown: choose {', '.join(SCHEMES)}")
    if scheme == "auto":
        scheme = "address" if _has_addresses() else "port"
    if scheme == "port" and port and port + count > 65_535:
        raise ArgumentError(f"--port {port}: {count} hosts need as many ports after it; choose a lower one")
    attempts = 1 if port else ATTEMPTS
    for attempt in range(1, attempts + 1):
        try:
            return _listen(count, port, scheme)
        except OSError as error:
            if attempt == attempts or error.errno != errno.EADDRINUSE:
                raise _explained(error, port, scheme) from error
    raise AssertionError("unreachable")


def _listen(count: int, port: int, scheme: str) -> Sockets:
    with ExitStack() as opened:
        control = opened.enter_context(_bound(CONTROL_ADDRESS, port))
        if scheme == "address":
            shared = control.getsockname()[1]
            wanted: Iterable[tuple[str, int]] = ((_address(n), shared) for n in range(count))
        else:
            wanted = ((CONTROL_ADDRESS, port + 1 + n if port else 0) for n in range(count))
        hosts = tuple(opened.enter_context(_bound(*place)) for place in wanted)
        opened.pop_all()
        return Sockets(control, hosts, scheme)


def _address(number: int) -> str:
    return f"127.0.{FIRST_BLOCK + number // HOSTS_PER_BLOCK}.{1 + number % HOSTS_PER_BLOCK}"


def _bound(address: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        error.filename = f"{address}:{port}"
        raise
    return listener


def _has_addresses() -> bool:
    """Whether the system answers on loopback addresses beyond 127.0.0.1: Linux does, macOS does not."""
    try:
        _bound(_address(0), 0).close()
    except OSError:
        return False
    return True


def _explained(error: OSError, port: int, scheme: str) -> GuichetsError:
    where = error.filename or f"port {port}"
    if error.errno == errno.EADDRINUSE:
        return ArgumentError(f"--port {port}: {where} is in use; choose another, or 0 for any free one")
    if error.errno == errno.EACCES:
        return ArgumentError(f"--port {port}: not permitted; choose 1024 or more, or 0 for any free one")
    if error.errno == errno.EADDRNOTAVAIL and scheme == "address":
        return ArgumentError(f"--host-scheme address: this system has no {where}; use port")
    return GuichetsError(f"cannot listen on {where}: {error.strerror}")
