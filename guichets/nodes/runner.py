"""What Scrapyd starts for each job (``runner`` of ``deploy/scrapyd.conf``): it becomes ``scrapy``.

Scrapyd's own runner needs ``pkg_resources``, which setuptools no longer has, and lets an installed package
hide the one in the egg. This one puts the egg first on the path of a fresh interpreter.
"""

from __future__ import annotations

import configparser
import ctypes
import os
import signal
import sys
import zipfile
from pathlib import Path

from guichets.nodes.naming import job_worker, node_name

DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


def main() -> None:
    """``python -m guichets.nodes.runner crawl ezbooking -a _job=ID …``, with Scrapyd's environment."""
    if "crawl" in sys.argv[1:2]:
        _follow_scrapyd()
    environment = dict(os.environ)
    job = next((word.partition("=")[2] for word in sys.argv if word.startswith("_job=")), None)
    if job is not None:
        environment["GUICHETS_WORKER"] = job_worker(node_name(), job)
    options = []
    egg = find_egg(os.environ["SCRAPY_PROJECT"], os.environ.get("SCRAPYD_EGG_VERSION"))
    if egg is not None:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(egg), os.environ.get("PYTHONPATH"))))
        environment["SCRAPY_SETTINGS_MODULE"] = settings_module(egg)
        options = ["-P"]  # else the folder Scrapyd was started in would hide the egg
    os.execve(sys.executable, [sys.executable, *options, "-m", "scrapy", *sys.argv[1:]], environment)


def find_egg(project: str, version: str | None) -> Path | None:
    """The egg of that version, else the newest; None when the project is where Scrapyd was started."""
    from scrapyd.config import Config
    from scrapyd.eggstorage import FilesystemEggStorage

    folder = os.environ.get("SCRAPYD_EGGS_DIR", "eggs")
    _, file = FilesystemEggStorage(Config({"eggs_dir": folder.replace("%", "%%")})).get(project, version)
    if file is None:
        return None
    with file:
        return Path(file.name).absolute()


def settings_module(egg: Path) -> str:
    """The Scrapy settings an egg declares."""
    with zipfile.ZipFile(egg) as archive:
        declared = configparser.ConfigParser()
        declared.read_string(archive.read("EGG-INFO/entry_points.txt").decode())
    return declared["scrapy"]["settings"]


def _follow_scrapyd() -> None:
    """Signals come from Scrapyd alone, not from its terminal; when it is killed, the crawl ends in order."""
    os.setpgid(0, 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, int(signal.SIGINT), 0, 0, 0)


if __name__ == "__main__":
    main()
