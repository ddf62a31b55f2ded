"""What a release has to know of to run on this schema: releases from before that would miss what was taken away.

Only a revision that takes something away writes here: the last revision of the last release that still used it.
"""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.execute('CREATE TABLE needed_revision (revision text COLLATE "C" PRIMARY KEY)')
