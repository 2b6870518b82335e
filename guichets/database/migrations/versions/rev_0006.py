"""0006_rollups.sql"""

from guichets.database._alembic import run_migration

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run_migration(revision)
