"""0007_public_data.sql"""

from guichets.database._alembic import run_migration

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run_migration(revision)
