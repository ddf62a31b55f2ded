"""Where each organisation lives, where there are several databases.

`organisation_home` is filled in the database that is home, `organisation` in the one in which the organisation lives.
"""

from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE organisation_home (
            org_id text COLLATE "C" PRIMARY KEY,
            database text NOT NULL,
            placed_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )
    op.execute(
        """
        CREATE FUNCTION tell_of_home() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify('relevo_home', OLD.org_id);
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER tell_of_home AFTER UPDATE OR DELETE ON organisation_home
        FOR EACH ROW EXECUTE FUNCTION tell_of_home()
        """
    )
    # A row is never deleted: without one, whoever has an old choice would take the organisation for a new one.
    op.execute(
        """
        CREATE TABLE organisation (
            org_id text COLLATE "C" PRIMARY KEY,
            residence text NOT NULL DEFAULT 'here',
            since timestamptz NOT NULL DEFAULT now()
        )
        """
    )
