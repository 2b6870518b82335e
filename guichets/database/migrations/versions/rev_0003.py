"""0003_cluster.sql"""

from guichets.database._alembic import run_migration

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_migration(revision)
