"""0013_close_visits_within_a_day.sql"""

from guichets.database._alembic import run_migration

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    run_migration(revision)
