"""0012_watch_keeping.sql"""

from guichets.database._alembic import run_migration

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    run_migration(revision)
