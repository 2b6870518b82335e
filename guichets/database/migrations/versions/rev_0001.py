"""0001_initial.sql"""

from guichets.database._alembic import run_migration

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_migration(revision)
