"""The family of errors Guichets raises on purpose.

GuichetsError                  one clear line for a person; the command line prints it and exits with 2
├── ConfigurationError         a setting that cannot be used
├── CatalogueError             a catalogue folder refused whole, every reason with file and line
├── DatabaseError              PostgreSQL cannot serve
│   ├── DatabaseUnreachable    no connection, or a server older than 15
│   └── SchemaOutOfDate        the schema is not this version's: `guichets db upgrade`
├── EmbeddedServerError        the embedded PostgreSQL cannot be started
├── TraceError                 a trace of openings that cannot be simulated
├── WatchStateError            a learnt state that cannot be read; the desk is relearnt
└── ArgumentError              a command's or spider's argument
"""

from __future__ import annotations


class GuichetsError(Exception):
    """A mistake or a state a person can act on; its text is one line: what, where, what to do."""


class ConfigurationError(GuichetsError):
    """Raised at start when a setting holds a value that cannot be used."""


class ArgumentError(GuichetsError):
    """Raised before any request when an argument is wrong."""


class CatalogueError(GuichetsError):
    """Raised by the loader; ``reasons`` holds one line per problem, each with file and line."""

    def __init__(self, reasons: list[str]) -> None:
        self.reasons = reasons
        super().__init__("\n".join(reasons))


class DatabaseError(GuichetsError):
    """PostgreSQL cannot serve; nothing was lost: observations wait in the spool."""


class DatabaseUnreachable(DatabaseError):
    """No connection could be made, or the server is too old."""


class SchemaOutOfDate(DatabaseError):
    """The database's schema is older or newer than this program's."""


class EmbeddedServerError(DatabaseError):
    """The embedded PostgreSQL could not be started."""
