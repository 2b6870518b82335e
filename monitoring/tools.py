"""Where Prometheus and its kin are: on the PATH, or where `make prometheus` puts them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from guichets.errors import ConfigurationError

TOOLS = ("prometheus", "promtool", "alertmanager", "amtool")
OTHER_NAMES = {"alertmanager": "prometheus-alertmanager"}  # as Debian calls it
FETCHED = Path(sys.prefix) / "monitoring" / "usr" / "bin"


def find_tool(name: str) -> Path:
    """The program. Raises ConfigurationError, which names the command that installs it."""
    for candidate in (name, OTHER_NAMES.get(name, name)):
        found = shutil.which(candidate) or shutil.which(candidate, path=str(FETCHED))
        if found:
            return Path(found)
    raise ConfigurationError(f"{name} is not installed; run: make prometheus")


if __name__ == "__main__":
    try:
        for tool in TOOLS:
            find_tool(tool)
    except ConfigurationError as error:
        sys.exit(str(error))
