"""Brands of the portal."""

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE portal_brand (
            org_id text COLLATE "C" PRIMARY KEY,
            name text NOT NULL,
            logo_url text,
            accent text,
            updated_at timestamptz NOT NULL
        )
        """
    )
