"""0009_slots_due_of_new_desks.sql"""

from guichets.database._alembic import run_migration

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    run_migration(revision)
