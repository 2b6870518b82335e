"""0002_evidence.sql"""

from guichets.database._alembic import run_migration

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_migration(revision)
