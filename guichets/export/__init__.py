"""Observations as open data: which ones, in which form, and what each field means."""

from guichets.export.destination import open_destination
from guichets.export.dictionary import FIELDS, Field, render_dictionary
from guichets.export.formats import FORMATS, format_of
from guichets.export.selection import Selection, read_instant, read_observations, unknown_desks

__all__ = [
    "FIELDS",
    "FORMATS",
    "Field",
    "Selection",
    "format_of",
    "open_destination",
    "read_instant",
    "read_observations",
    "render_dictionary",
    "unknown_desks",
]
