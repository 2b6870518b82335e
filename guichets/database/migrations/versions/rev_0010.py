"""0010_facts.sql"""

from guichets.database._alembic import run_migration

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    run_migration(revision)
