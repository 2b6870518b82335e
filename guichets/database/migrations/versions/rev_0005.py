"""0005_pattern_of_the_night.sql"""

from guichets.database._alembic import run_migration

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_migration(revision)
