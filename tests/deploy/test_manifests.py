"""What is deployed, checked by the schemas of those who read it and by rules of our own; no engine runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
KUBERNETES = ("1.31", "1.34", "1.37")  # the oldest that sleeps before a stop by default, and the newest known
LONGEST_STOP_SECONDS = 10  # of a crawl: test_stop.py
PINNED = re.compile(r"[a-z][a-z0-9/._-]*:\d+\.\d+(\.\d+)?(-[a-z0-9.-]+)?")


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            yield f"{path.name}-{document['kind']}", document


def pod_of(document: dict[str, Any]) -> dict[str, Any]:
    """The pod's spec of whatever makes pods."""
    spec = document["spec"]
    if document["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    found: dict[str, Any] = spec["template"]["spec"]
    return found


ALL = dict(documents())
RESOURCES = {name: found for name, found in ALL.items() if found["kind"] != "Kustomization"}
MAKES_PODS = {"Deployment", "StatefulSet", "CronJob", "Job"}
WORKLOADS = {name: found for name, found in RESOURCES.items() if found["kind"] in MAKES_PODS}
WORKERS = {
    name: found
    for name, found in WORKLOADS.items()
    if found["metadata"]["labels"]["app.kubernetes.io/component"] == "worker"
}
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
OURS = {name: found for name, found in SERVICES.items() if name != "postgres"}

EVERY_WORKLOAD = pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
EVERY_WORKER = pytest.mark.parametrize("worker", WORKERS.values(), ids=WORKERS)
EVERY_SERVICE = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("document", RESOURCES.values(), ids=RESOURCES)
def test_kubernetes_reads_every_manifest(document: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


def test_schema_finds_what_is_wrong() -> None:
    wrong = {**ALL["worker-deployment.yaml-Deployment"], "spec": {"replicas": "one"}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES[-1], strict=True)


def test_compose_reads_the_file() -> None:
    assert check_compose(COMPOSE) == ""


def test_compose_schema_finds_what_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text().replace("stop_grace_period", "stop_grace_priod"))
    assert "stop_grace_priod" in check_compose(wrong)


def check_compose(path: Path) -> str:
    """What the schema of the Compose specification refuses."""
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_kustomization_names_files_that_exist_and_one_kind_of_worker() -> None:
    named = ALL["kustomization.yaml-Kustomization"]["resources"]
    assert all((DEPLOY / "kubernetes" / name).is_file() for name in named)
    assert [name for name in named if name.startswith("worker-")] == ["worker-deployment.yaml"]
    others = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")} - {*named, "kustomization.yaml"}
    text = (DEPLOY / "kubernetes/kustomization.yaml").read_text(encoding="utf-8")
    assert others == {"worker-statefulset.yaml", "worker-cronjob.yaml"}
    assert all(name in text for name in others)


def images() -> list[str]:
    found = [
        container["image"] for workload in WORKLOADS.values() for container in pod_of(workload)["containers"]
    ]
    found += [service["image"] for service in SERVICES.values()]
    return found + re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)


@pytest.mark.parametrize("image", sorted(set(images())))
def test_image_is_of_one_version(image: str) -> None:
    assert PINNED.fullmatch(image), f"{image}: what runs tomorrow would not be what was tested"


def test_our_image_is_of_this_version() -> None:
    from guichets import __version__

    assert {image for image in images() if image.startswith("guichets")} == {f"guichets:{__version__}"}


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.*")), ids=lambda path: path.name)
def test_no_secret_is_in_a_file(path: Path) -> None:
    if path.suffix in {".lock", ".pyc"} or path.name == ".env":
        return
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"postgres(ql)?://[^\s:/@]+:[^\s@]+@", text)  # a DSN with its password
    for line in text.splitlines():
        found = re.match(r"\s*([\w-]*(password|secret|token)[\w-]*)\s*[:=]\s*(\S+)", line, re.IGNORECASE)
        if found is not None and found[1] != "automountServiceAccountToken":
            assert found[3].startswith(("${", "{")), line
    assert not re.search(r"^kind: Secret$", text, re.MULTILINE)


@EVERY_WORKLOAD
def test_workload_reads_its_database_from_a_secret(workload: dict[str, Any]) -> None:
    for container in pod_of(workload)["containers"]:
        (database,) = [entry for entry in container["env"] if entry["name"] == "GUICHETS_DATABASE_URL"]
        assert database["valueFrom"] == {"secretKeyRef": {"name": "guichets-database", "key": "url"}}


@EVERY_WORKLOAD
def test_workload_has_resources_and_no_privileges(workload: dict[str, Any]) -> None:
    pod = pod_of(workload)
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    for container in pod["containers"]:
        for kind in ("requests", "limits"):
            assert set(container["resources"][kind]) == {"cpu", "memory"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@EVERY_WORKLOAD
def test_probe_asks_a_port_that_exists(workload: dict[str, Any]) -> None:
    for container in pod_of(workload)["containers"]:
        ports = {port["containerPort"] for port in container.get("ports", ())}
        for name in ("livenessProbe", "readinessProbe", "startupProbe"):
            probe = container.get(name, {})
            asked = probe.get("httpGet", probe.get("tcpSocket"))
            assert asked is None or asked["port"] in ports


@EVERY_WORKER
def test_worker_has_time_to_stop_in_order(worker: dict[str, Any]) -> None:
    pod = pod_of(worker)
    (container,) = pod["containers"]
    pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert pod["terminationGracePeriodSeconds"] >= pause + 3 * LONGEST_STOP_SECONDS
    # the signal must reach scrapy itself: no shell in between
    assert container["command"][0] == "scrapy"
    assert "preStop" in container.get("lifecycle", {}) or worker["kind"] == "CronJob"


@EVERY_WORKER
def test_spool_and_proofs_of_a_worker_outlive_its_pod(worker: dict[str, Any]) -> None:
    pod = pod_of(worker)
    kept = {volume["name"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume}
    kept |= {claim["metadata"]["name"] for claim in worker["spec"].get("volumeClaimTemplates", ())}
    (mount,) = [m for m in pod["containers"][0]["volumeMounts"] if m["name"] in kept]
    assert mount["mountPath"] == ALL["configuration.yaml-ConfigMap"]["data"]["GUICHETS_HOME"]


def test_two_pods_never_share_a_volume() -> None:
    deployment = ALL["worker-deployment.yaml-Deployment"]["spec"]
    assert (deployment["replicas"], deployment["strategy"]["type"]) == (1, "Recreate")
    assert ALL["worker-cronjob.yaml-CronJob"]["spec"]["concurrencyPolicy"] == "Forbid"


@EVERY_SERVICE
def test_service_has_limits_and_opens_no_port_to_others(service: dict[str, Any]) -> None:
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


@pytest.mark.parametrize("name", ["node-a", "node-b"])
def test_node_waits_for_the_schema_and_has_time_for_its_jobs(name: str) -> None:
    from guichets.nodes.application import STOP_SECONDS

    service = SERVICES[name]
    assert int(service["stop_grace_period"].removesuffix("s")) > STOP_SECONDS
    assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert service["environment"]["GUICHETS_NODE"] == service["hostname"] == name
    assert service["healthcheck"]["test"][0] == "CMD"


def test_two_nodes_keep_their_spools_and_proofs_apart() -> None:
    volumes = [SERVICES[name]["volumes"] for name in ("node-a", "node-b")]
    assert volumes == [["node-a:/var/lib/guichets"], ["node-b:/var/lib/guichets"]]


@pytest.mark.parametrize("words", [service["command"] for service in OURS.values() if "command" in service])
def test_service_runs_a_command_that_exists(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *words, "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_image_runs_as_nobody_of_importance() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (\S+)", last, re.MULTILINE) == ["10001:10001"]
    assert last.index("USER") < last.index("CMD")
    assert not re.search(r"^(ADD|ARG|ENTRYPOINT)", DOCKERFILE, re.MULTILINE)


def test_image_copies_what_exists_and_the_context_lets_through() -> None:
    allowed = re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert sorted(copied) == sorted(allowed)
    assert all((ROOT / source).exists() for source in copied)


def test_image_has_the_versions_that_were_tested() -> None:
    image = pins(DEPLOY / "requirements.lock")
    tested = pins(ROOT / "requirements.lock")
    assert {"scrapy", "scrapyd", "psycopg", "warcio"} <= set(image)
    assert not {"pytest", "mypy", "ruff", "hypothesis"} & set(image)
    assert {name: (version, tested[name]) for name, version in image.items()
            if tested.get(name, version) != version} == {}  # fmt: skip
    assert "://" not in (DEPLOY / "requirements.lock").read_text()


def pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9][\w.-]*)==([\w.+!]+)", lock.read_text(encoding="utf-8"), re.MULTILINE))


UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_reads_the_unit(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text(encoding="utf-8")
    # the program must exist for systemd to be content; where it is installed is the reader's machine
    copy = tmp_path / unit.name
    copy.write_text(text.replace("/opt/guichets/.venv/bin/", f"{Path(sys.executable).parent}/"))
    if program := shutil.which("systemd-analyze"):
        done = subprocess.run(
            [program, "verify", str(copy)], capture_output=True, text=True, timeout=60, check=False
        )
        said = [line for line in done.stderr.splitlines() if "guichets" in line]
        assert (done.returncode, said) == (0, [])
    options = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    assert options["User"] == "guichets"
    assert int(options["TimeoutStopSec"]) >= 3 * LONGEST_STOP_SECONDS
    assert "Environment=GUICHETS_DATABASE_URL" not in text
    assert options["EnvironmentFile"] == "/etc/guichets/environment"


TIMERS = sorted((DEPLOY / "systemd").glob("*.timer"))


@pytest.mark.parametrize("timer", TIMERS, ids=lambda path: path.name)
def test_systemd_reads_the_timer_of_a_service(timer: Path, tmp_path: Path) -> None:
    service = timer.with_suffix(".service").read_text(encoding="utf-8")
    assert "Type=oneshot" in service
    assert "[Install]" not in service  # the timer starts it, not the machine
    (tmp_path / timer.name).write_text(timer.read_text(encoding="utf-8"))
    program = f"{Path(sys.executable).parent}/"
    (tmp_path / timer.with_suffix(".service").name).write_text(
        service.replace("/opt/guichets/.venv/bin/", program)
    )
    if analyze := shutil.which("systemd-analyze"):
        done = subprocess.run(
            [analyze, "verify", str(tmp_path / timer.name)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        said = [line for line in done.stderr.splitlines() if "guichets" in line]
        assert (done.returncode, said) == (0, [])


def test_days_are_sealed_after_midnight_utc_and_pruned_after_that() -> None:
    """A seal's day is a UTC day, whatever the machine's zone; pruning takes sealed records only."""
    at = {}
    for timer in TIMERS:
        text = timer.read_text(encoding="utf-8")
        (found,) = re.findall(r"^OnCalendar=\*-\*-\* (\d\d:\d\d):00 UTC$", text, re.MULTILINE)
        at[timer.stem] = found
        assert "Persistent=yes" in text
    assert "00:01" < at["guichets-seal"] < at["guichets-prune"]


def test_stop_of_the_node_reaches_its_jobs_once() -> None:
    """A second signal would make Scrapy drop everything: Scrapyd alone is told, and tells its jobs."""
    from guichets.nodes.application import STOP_SECONDS

    options = dict(
        re.findall(r"^(\w+)=(.*)$", (DEPLOY / "systemd/guichets-scrapyd.service").read_text(), re.MULTILINE)
    )
    assert options["KillMode"] == "mixed"
    assert int(options["TimeoutStopSec"]) > STOP_SECONDS
