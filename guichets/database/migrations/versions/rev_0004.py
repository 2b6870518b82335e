"""0004_visits_begun_again.sql"""

from guichets.database._alembic import run_migration

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run_migration(revision)
