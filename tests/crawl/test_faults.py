"""Whatever a host does, its probe yields exactly one observation, and the crawl goes on."""

from __future__ import annotations

import gzip
import socket
import ssl
from asyncio import StreamWriter
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.crawl_fixtures import CrawlResult, Workshop, read_rows, write_desks
from tests.hostile_server import Answer, HostileServer, endless, page, redirect, reset, silence

TIMEOUT_SECONDS = 6
FORM = "/booking/create/100"
CALM = page(
    '<html lang="fr"><body><div id="container">'
    "<p>Attention : Cette page n'est pas disponible pour le moment !</p></div></body></html>"
)
NONE = (
    '<html><body><div id="inner_Booking"><h2>Vérification de disponibilité</h2>'
    '<form id="FormBookingCreate" action="/booking/create/100/2" method="post">'
    "Il n'existe plus de plage horaire libre pour votre demande de rendez-vous. "
    'Veuillez recommencer ultérieurement.<input type="submit" name="finishButton" value="Terminer">'
    "</form></div></body></html>"
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"


def radios(count: int) -> str:
    lines = "".join(
        f'<p><input type="radio" name="planning" value="{n}" id="planning{n}">'
        f'<label for="planning{n}">Guichet {n}</label></p>'
        for n in range(1, count + 1)
    )
    return (
        '<html><body><div id="inner_Booking"><h2>Choix de la nature du rendez-vous</h2>'
        f'<form id="FormBookingCreate" action="/booking/create/100/1" method="post">{lines}'
        '<input type="submit" name="nextButton" value="Etape suivante"></form></div></body></html>'
    )


def status(line: str) -> bytes:
    return page(f"<html><body><h1>{line}</h1></body></html>", line)


def cut(body: str, head: bytes) -> bytes:
    """An answer whose connection ends in the middle of its body."""
    return HEAD + head + b"\r\n" + body.encode()[: len(body) * 2 // 3]


def chunk_cut(body: str) -> bytes:
    half = body.encode()[: len(body) // 2]
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%b\r\n" % (len(half), half)


@dataclass(frozen=True)
class Fault:
    """What a host does, and how its desk must be read: an outcome, and rules that may say so."""

    name: str
    answer: Answer
    outcome: str
    rules: str  # separated by spaces; * ends a beginning


FAULTS = (
    # the connection
    Fault("time-out", silence, "unreachable", "network.timeout"),
    Fault(
        "time-out-in-body",
        endless(HEAD + b"Content-Length: 9\r\n\r\nx", b""),
        "unreachable",
        "network.timeout",
    ),
    Fault("reset", reset, "unreachable", "network.failed"),
    Fault("empty-reply", b"", "unreachable", "network.failed"),
    Fault("not-http", b"+OK ready\r\n\r\n", "unreachable", "network.failed"),
    Fault(
        "endless-informational", endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "unreachable", "network.*"
    ),
    # the body
    Fault("empty-body", page(""), "unreachable", "http.empty"),
    Fault("blank-body", page(" \r\n \t "), "unreachable", "http.empty"),
    Fault("cut-length", cut(NONE, b"Content-Length: 5000\r\n"), "unreachable", "http.truncated"),
    Fault("cut-chunks", chunk_cut(NONE), "unreachable", "http.truncated"),
    Fault("cut-close", cut(NONE, b"Connection: close\r\n"), "unreachable", "http.truncated"),
    Fault(
        "cut-gzip",
        HEAD + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n" + gzip.compress(NONE.encode())[:120],
        "unreachable",
        "http.truncated",
    ),
    Fault("no-content", b"HTTP/1.1 204 No Content\r\n\r\n", "unreachable", "http.empty"),
    Fault("endless-body", endless(HEAD + b"\r\n", b"<p>x</p>" * 8_000), "unrecognised", "http.too-large"),
    Fault("30-megabytes", page(b"<p>Le journal</p>" * 1_900_000), "unrecognised", "http.too-large"),
    Fault(
        "gzip-bomb",
        page(gzip.compress(b" " * 100_000_000), headers="Content-Encoding: gzip\r\n"),
        "unrecognised",
        "http.too-large",
    ),
    Fault("garbage", page(Random(1).randbytes(50_000)), "unrecognised", "ezbooking.unrecognised*"),
    Fault("not-gzip", page(NONE, headers="Content-Encoding: gzip\r\n"), "unrecognised", "http.bad-encoding"),
    Fault("wrong-charset", page(NONE.encode("cp500")), "unrecognised", "ezbooking.unrecognised*"),
    Fault("utf-16", page(NONE.encode("utf-16")), "none", "ezbooking.none.step2-sentence"),
    Fault("deep-markup", page("<div>" * 200_000), "unrecognised", "ezbooking.unrecognised*"),
    Fault("10-000-radios", page(radios(10_000)), "unrecognised", "ezbooking.unrecognised.too-many-counters"),
    # where it sends us
    Fault("redirect-loop", redirect(f"{FORM}/0"), "unrecognised", "http.redirect-loop"),
    Fault(
        "redirect-off-host",
        redirect("http://127.0.0.9/booking/create/100/0"),
        "observer_fault",
        "gate.off-host",
    ),
    Fault("redirect-step-5", redirect(f"{FORM}/5/1/1893456000"), "observer_fault", "gate.not-allowed"),
    Fault("redirect-brackets", redirect("http://["), "unrecognised", "http.status-302"),
    Fault("redirect-port", redirect("http://127.0.0.1:99999/"), "observer_fault", "gate.bad-url"),
    Fault("redirect-script", redirect("javascript:alert(1)"), "unrecognised", "http.status-302"),
    Fault("redirect-file", redirect("file:///etc/hostname"), "observer_fault", "gate.bad-url"),
    Fault("redirect-data", redirect("data:text/html,libre"), "observer_fault", "gate.bad-url"),
    Fault("redirect-bytes", redirect(b"\xff\xfe\x00"), "unreachable unrecognised", "*"),
    Fault("redirect-nowhere", redirect(""), "unrecognised", "http.redirect-loop"),
    Fault("redirect-without-place", page("", "302 Found"), "unrecognised", "http.status-302"),
    # statuses
    Fault("400", status("400 Bad request"), "unrecognised", "http.status-400"),
    Fault("401", status("401 Unauthorized"), "blocked", "http.401"),
    Fault("403", status("403 Forbidden"), "blocked", "ezbooking.blocked.proxy-page"),
    Fault("404", status("404 Not Found"), "gone", "http.404"),
    Fault("410", status("410 Gone"), "gone", "http.410"),
    Fault("418", status("418 I'm a teapot"), "unrecognised", "http.status-418"),
    Fault("429", status("429 Too Many Requests"), "blocked", "http.429"),
    Fault("500", status("500 Internal Server Error"), "overloaded", "ezbooking.overloaded.proxy-page"),
    Fault("502", status("502 Bad Gateway"), "overloaded", "*"),
    Fault("503", status("503 Service Unavailable"), "overloaded", "*"),
    Fault("504", status("504 Gateway Time-out"), "overloaded", "*"),
    Fault("520", status("520 Unknown"), "overloaded", "http.520"),
    Fault("599-none", page(NONE, "599 Odd"), "overloaded", "http.599"),
    Fault("404-none", page(NONE, "404 Not Found"), "gone", "http.404"),
    Fault("999", status("999 Odd"), "unrecognised unreachable", "*"),
    Fault("status-text", b"HTTP/1.1 OK\r\n\r\n", "unreachable", "network.failed"),
    # headers
    Fault(
        "header-without-colon",
        HEAD + b"nonsense\r\nContent-Length: 1\r\n\r\nx",
        "unreachable unrecognised",
        "*",
    ),
    Fault("two-lengths", HEAD + b"Content-Length: 3\r\nContent-Length: 900\r\n\r\nxyz", "unreachable", "*"),
    Fault("negative-length", HEAD + b"Content-Length: -3\r\n\r\nxyz", "unreachable", "*"),
    Fault("header-flood", HEAD + b"X-Flood: 1\r\n" * 400_000 + b"\r\n", "unreachable unrecognised", "*"),
    Fault("header-endless", endless(HEAD, b"X-Flood: 1\r\n" * 1_000), "unreachable unrecognised", "*"),
    Fault(
        "header-long", HEAD + b"X-Long: " + b"x" * 5_000_000 + b"\r\n\r\n", "unreachable unrecognised", "*"
    ),
    Fault(
        "absurd-cookies",
        page(
            CALM.partition(b"\r\n\r\n")[2],
            headers="".join(
                f"Set-Cookie: c{n}={'x' * 200}; Domain=.; Path=//; Max-Age=-\r\n" for n in range(90)
            )
            + "Set-Cookie: =;;;\r\nSet-Cookie: \x01\r\n"
            "Set-Cookie: a=b; Expires=Fri, 99 Foo 99999 99:99:99\r\n",
        ),
        "closed",
        "ezbooking.closed.switched-off",
    ),
    Fault(
        "odd-media-type",
        HEAD.replace(b"text/html", b"\xe9/;;=") + b"Content-Length: 2\r\n\r\nhi",
        "unrecognised",
        "ezbooking.unrecognised.not-html",
    ),
    # and what is merely unusual is read
    Fault("whole-close", HEAD + b"Connection: close\r\n\r\n" + CALM.partition(b"\r\n\r\n")[2], "closed", "*"),
    Fault("http-1.0", CALM.replace(b"HTTP/1.1", b"HTTP/1.0"), "closed", "*"),
)
IGNORED = ("closed", "ezbooking.closed.switched-off")  # the desk is read as if there were no robots.txt
ROBOTS_FAULTS = (
    Fault("robots-time-out", silence, "unreachable", "network.timeout"),
    Fault("robots-reset", reset, "unreachable", "network.failed"),
    Fault("robots-503", status("503 Service Unavailable"), "overloaded", "robots.503"),
    Fault("robots-429", status("429 Too Many Requests"), "blocked", "robots.429"),
    Fault("robots-403", status("403 Forbidden"), *IGNORED),
    Fault("robots-off-host", redirect("http://127.0.0.9/robots.txt"), *IGNORED),
    Fault("robots-garbage", page(Random(2).randbytes(50_000)), *IGNORED),
    Fault("robots-30-megabytes", page(b"User-agent: x\n" * 2_200_000), "unrecognised", "http.too-large"),
    Fault("robots-bad-redirect", redirect("http://["), *IGNORED),
    Fault(
        "robots-bad-port",
        redirect("http://127.0.0.1:99999/robots.txt"),
        *IGNORED,
    ),
    Fault("robots-loop", redirect("/robots.txt"), *IGNORED),
    Fault(
        "robots-odd-delay",
        page("User-agent: *\nCrawl-delay: 1e309\n"),
        *IGNORED,
    ),
    Fault(
        "robots-word-delay",
        page("User-agent: *\nCrawl-delay: soon\n"),
        *IGNORED,
    ),
)


def certificate(folder: Path) -> ssl.SSLContext:
    """A server's side of TLS with a certificate that nobody signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "prefecture.example")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def dead_port() -> str:
    """An address of this machine where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    with HostileServer() as running:
        yield running


@dataclass
class Trial:
    result: CrawlResult
    rows: list[dict[str, Any]]

    @property
    def notes(self) -> dict[str, str]:
        return {str(row["id"]): row["note"] for row in self.rows}


@pytest.fixture(scope="module")
def trial(module_workshop: Workshop, server: HostileServer) -> Trial:
    """One crawl of all faults, each on a host of its own."""
    hosts = {fault.name: server.add(fault.answer) for fault in FAULTS}
    hosts |= {fault.name: server.add(CALM, robots=fault.answer) for fault in ROBOTS_FAULTS}
    urls = {desk_of(name): f"http://{host}{FORM}" for name, host in hosts.items()}
    folder = module_workshop.folder("certificate")
    urls["tls-self-signed"] = f"https://{server.add(CALM, tls=certificate(folder))}{FORM}"
    urls["tls-absent"] = f"https://{server.add(CALM)}{FORM}"
    urls["dns"] = f"http://nowhere.invalid{FORM}"
    urls["refused"] = f"http://{dead_port()}{FORM}"
    urls["calm"] = f"http://{server.add(CALM)}{FORM}"
    database = module_workshop.database()
    crawler = module_workshop.crawler(write_desks(module_workshop.folder("catalogue"), urls), database)
    result = crawler.run(settings={"DOWNLOAD_TIMEOUT": TIMEOUT_SECONDS, "GUICHETS_MAX_HOSTS": 200})
    return Trial(result, read_rows(database, "SELECT * FROM observations"))


def desk_of(name: str) -> str:
    return name.replace(".", "-")


CASES = [
    *FAULTS,
    *ROBOTS_FAULTS,
    Fault("tls-self-signed", b"", "unreachable", "network.tls"),
    Fault("tls-absent", b"", "unreachable", "network.tls network.timeout"),
    Fault("dns", b"", "unreachable", "network.dns"),
    Fault("refused", b"", "unreachable", "network.connect"),
    Fault("calm", b"", "closed", "ezbooking.closed.switched-off"),
]


@pytest.mark.parametrize("fault", CASES, ids=lambda fault: fault.name)
def test_a_fault_is_read_as_what_it_is(trial: Trial, fault: Fault) -> None:
    line = trial.result.desks[desk_of(fault.name)]
    assert line["outcome"] in fault.outcome.split(), (line["rule"], trial.notes[line["id"]])
    assert any(fnmatch(line["rule"], rule) for rule in fault.rules.split()), line["rule"]


def test_no_fault_loses_doubles_or_ends_anything(trial: Trial) -> None:
    assert trial.result.status == 0, trial.result.log[-3000:]
    desks = Counter(line["desk"] for line in trial.result.lines)
    assert desks == Counter(desk_of(fault.name) for fault in CASES)
    assert len(trial.rows) == len(trial.result.lines)
    assert "Traceback" not in trial.result.log


def test_the_gate_lets_no_redirect_out_of_the_host_or_into_this_machine(trial: Trial) -> None:
    for name in ("redirect-off-host", "redirect-step-5", "redirect-port", "redirect-file", "redirect-data"):
        line = trial.result.desks[name]
        assert [part["status"] for part in line["evidence"]] == [302], name
        assert line["requests"] <= 2, name  # robots.txt, and the page that redirects


def test_a_host_that_fails_is_left_and_its_next_desk_is_tried(workshop: Workshop) -> None:
    """On one host: a desk that never answers, one that is torn down, one that answers."""

    async def by_form(request: bytes, writer: StreamWriter) -> None:
        if b"/create/1/" in request:
            await silence(request, writer)
        elif b"/create/2/" in request:
            await reset(request, writer)
        else:
            writer.write(CALM)

    with HostileServer() as server:
        host = server.add(by_form)
        urls = {f"desk-{number}": f"http://{host}/booking/create/{number}" for number in (1, 2, 3)}
        crawler = workshop.crawler(write_desks(workshop.folder("catalogue"), urls))
        result = crawler.run(settings={"DOWNLOAD_TIMEOUT": 2})
    assert {desk: line["outcome"] for desk, line in result.desks.items()} == {
        "desk-1": "unreachable",
        "desk-2": "unreachable",
        "desk-3": "closed",
    }
    assert result.status == 0


def test_a_dead_network_is_our_fault_and_a_dead_host_is_not(workshop: Workshop) -> None:
    """The control page answers first, then nothing does."""
    with HostileServer() as server:
        urls = {
            "refused": f"http://{dead_port()}{FORM}",
            "silent": f"http://{server.add(silence)}{FORM}",
            "torn": f"http://{server.add(reset)}{FORM}",
        }
        control = server.add(page("up"))
        crawler = workshop.crawler(write_desks(workshop.folder("catalogue"), urls))
        settings = {"DOWNLOAD_TIMEOUT": 2, "GUICHETS_CONTROL_URLS": f"http://{control}/"}
        up = crawler.run(settings=settings, due="all")
        assert {line["outcome"] for line in up.lines} == {"unreachable"}
        assert up.status == 0
        assert server.paths(control) == ["GET /"]
        settings["GUICHETS_CONTROL_URLS"] = f"http://{dead_port()}/,http://{dead_port()}/"
        down = crawler.run(settings=settings, due="all")
    # a host that cut the connection itself was reached: that is no matter of our network
    assert {desk: (line["outcome"], line["rule"]) for desk, line in down.desks.items()} == {
        "refused": ("observer_fault", "observer.no-network"),
        "silent": ("observer_fault", "observer.no-network"),
        "torn": ("unreachable", "network.failed"),
    }
    assert down.status == 0
    crawler.environment["GUICHETS_CATALOGUE"] = str(
        write_desks(workshop.folder("catalogue"), {"refused": urls["refused"]})
    )
    assert crawler.run(settings=settings, due="all").status == 1


def test_without_a_network_no_prefecture_is_blamed(workshop: Workshop) -> None:
    """Names that never resolve stand for the bundled catalogue on a machine without a network."""
    urls = {f"desk-{number}": f"https://www.prefecture-{number}.invalid{FORM}" for number in range(6)}
    crawler = workshop.crawler(write_desks(workshop.folder("catalogue"), urls))
    result = crawler.run(settings={"GUICHETS_CONTROL_URLS": "https://a.invalid/,https://b.invalid/"})
    assert {(line["outcome"], line["rule"]) for line in result.lines} == {
        ("observer_fault", "observer.no-network")
    }
    assert len(result.lines) == len(urls)
    assert result.status == 1
