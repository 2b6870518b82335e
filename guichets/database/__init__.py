"""PostgreSQL: where it is, how to connect, its schema, and the catalogue's copy in it.

Everything other packages may use stands in ``__all__``; named queries are in guichets.database.queries.
"""

from __future__ import annotations

from guichets.database.catalogue_sync import SyncReport, sync_catalogue
from guichets.database.connection import (
    Role,
    broken_off_is_told,
    configure_as,
    connect,
    connect_async,
    dsn,
    hung_up_after,
    is_embedded,
    open_pool,
    place,
    session,
)
from guichets.database.preparation import prepare
from guichets.database.queries import load_queries
from guichets.database.schema import SchemaState, check_schema, schema_state, upgrade

__all__ = [
    "Role",
    "SchemaState",
    "SyncReport",
    "broken_off_is_told",
    "check_schema",
    "configure_as",
    "connect",
    "connect_async",
    "dsn",
    "hung_up_after",
    "is_embedded",
    "load_queries",
    "open_pool",
    "place",
    "prepare",
    "schema_state",
    "session",
    "sync_catalogue",
    "upgrade",
]
