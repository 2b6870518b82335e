"""0011_watch.sql"""

from guichets.database._alembic import run_migration

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    run_migration(revision)
