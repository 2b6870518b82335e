"""What a crawl needs before it starts: a reachable database with this program's schema."""

from __future__ import annotations

from guichets.database.connection import broken_off_is_told, connect, dsn, is_embedded
from guichets.database.schema import check_schema, schema_state, upgrade


def prepare() -> str:
    """The DSN in force, once its schema is this program's.

    The embedded server's schema is upgraded; on a database of the user's it is only checked, because there an
    upgrade is a decision of his. Raises DatabaseUnreachable, SchemaOutOfDate or EmbeddedServerError.
    """
    target = dsn()
    with broken_off_is_told(target):
        with connect("owner", check=False, dsn=target) as connection:
            is_current = schema_state(connection).is_current
            if not is_embedded():
                check_schema(connection)
        if not is_current:
            upgrade(target)
    return target
