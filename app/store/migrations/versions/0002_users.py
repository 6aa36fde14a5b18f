"""Users with roles, and the sessions in which they are logged in."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "users",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("role in ('customer', 'agent', 'admin')", name="ck_users_role"),
        sa.PrimaryKeyConstraint("name", name="pk_users"),
    )
    op.create_table(
        "logins",
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("user_name", sa.String(length=64), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_name"], ["users.name"], name="fk_logins_user_name", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_sha256", name="pk_logins"),
    )
    op.create_index("ix_logins_user_name", "logins", ["user_name"], unique=False)
    op.create_index("ix_logins_expires", "logins", ["expires"], unique=False)


def downgrade() -> None:
    """Drop both tables: nobody is known any more."""
    op.drop_index("ix_logins_expires", table_name="logins")
    op.drop_index("ix_logins_user_name", table_name="logins")
    op.drop_table("logins")
    op.drop_table("users")
