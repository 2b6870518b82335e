"""0008_figures.sql"""

from guichets.database._alembic import run_migration

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run_migration(revision)
