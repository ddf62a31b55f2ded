"""Messages whose payload is not JSON, or JSON of a certain kind, say so; all others leave it empty."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.execute("ALTER TABLE message ADD COLUMN content_type text")
