"""record the key of refresh tokens

Revision: 7d1c40a95e36
Revises: 2b236f089b72
Created: 2026-11-26 01:50:00.000000+00:00
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "7d1c40a95e36"
down_revision: str | Sequence[str] | None = "2b236f089b72"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        # While a statement waits for a lock, all later ones on that table wait behind it.
        op.execute("SET LOCAL lock_timeout = '10s'")

    with op.batch_alter_table("refresh_tokens", schema=None) as batch_op:
        batch_op.add_column(sa.Column("key_id", sa.String(length=8), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("refresh_tokens", schema=None) as batch_op:
        batch_op.drop_column("key_id")
