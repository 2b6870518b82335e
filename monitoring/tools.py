"""Where Prometheus and its kin are: on the PATH, or where `make prometheus` puts them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from guichets.errors import ConfigurationError

TOOLS = ("prometheus", "promtool", "alertmanager", "amtool")
OTHER_NAMES = {"alertmanager": "prometheus-alertmanager"}  # as Debian calls it
UNPACKED = Path(sys.prefix) / "monitoring" / "usr"  # the packages' files, where `make prometheus` puts them
FETCHED = UNPACKED / "bin"
SHARE = Path("/usr/share")
TEMPLATES = "prometheus/alertmanager"  # under SHARE: Debian's Alertmanager starts with nothing else


def find_tool(name: str) -> Path:
    """The program. Raises ConfigurationError, which names the command that installs it."""
    for candidate in (name, OTHER_NAMES.get(name, name)):
        found = shutil.which(candidate) or shutil.which(candidate, path=str(FETCHED))
        if found:
            return Path(found)
    raise ConfigurationError(f"{name} is not installed; run: make prometheus")


def command(name: str) -> list[str]:
    """The beginning of the command line that runs a tool.

    Alertmanager from a package that was unpacked and not installed sees the package's own /usr/share, in a
    mount namespace of its own; that needs no right but the one to make one.
    """
    found = find_tool(name)
    if name != "alertmanager" or found.parent != FETCHED or (SHARE / TEMPLATES).is_dir():
        return [str(found)]
    script = 'mount --bind "$0" "$1" && shift && exec "$@"'
    return [
        "unshare",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        script,
        str(UNPACKED / "share"),
        str(SHARE),
        str(found),
    ]


if __name__ == "__main__":
    try:
        for tool in TOOLS:
            find_tool(tool)
    except ConfigurationError as error:
        sys.exit(str(error))
