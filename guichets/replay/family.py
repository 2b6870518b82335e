"""What replay needs of a booking-platform family; ``spiders`` provides it, the command line passes it in."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from guichets.items import Observation
from guichets.page import Page, Reading
from guichets.visit import Probe

Normalise = Callable[[Observation], Observation]
"""What the crawl's validation does to an observation before it is kept."""


class Family(Protocol):
    """A family's readers and walk, without a crawl."""

    @property
    def parser(self) -> str:
        """Family and version of its readers, as observations carry it."""

    def read(self, page: Page) -> Reading:
        """What a page says. Pure."""

    def walk(self, probe: Probe) -> Coroutine[Any, Any, None]:
        """Walk the funnel; asks for nothing but through ``probe``."""
