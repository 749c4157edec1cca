"""Claims (who works on a host now, and until when) and slots (which openings of a window were used)."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "claim",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("run", sa.String(255), nullable=False),
        sa.Column("job", sa.String(255), nullable=False),
        sa.Column("window", sa.String(64), nullable=False),
        sa.Column("opened_at", sa.String(40), nullable=False),
        sa.Column("until", sa.String(40), nullable=False),
        sa.Column("expires_at", sa.String(40), nullable=False),
        sa.Column("expected", sa.Float, nullable=False),
        sa.Column("packages", sa.Integer, nullable=False),
        sa.Column("megabytes", sa.Float, nullable=False),
        sa.Column("reboot", sa.Boolean, nullable=False),
        sa.Column("settled_at", sa.String(40)),
        sa.Column("outcome", sa.String(40)),
        sa.Column("seconds", sa.Float),
    )
    op.create_index("claim_host", "claim", ["host", "settled_at"])
    op.create_index("claim_job", "claim", ["job", "opened_at"])
    op.create_index("claim_run", "claim", ["run"])
    op.create_table(
        "slot",
        sa.Column("job", sa.String(255), primary_key=True),
        sa.Column("window", sa.String(64), primary_key=True),
        sa.Column("starts_at", sa.String(40), primary_key=True),
        sa.Column("run", sa.String(255), nullable=False),
        sa.Column("decision", sa.String(40), nullable=False),
        sa.Column("decided_at", sa.String(40), nullable=False),
    )


def downgrade() -> None:
    raise RuntimeError("a ledger is never taken back to an older version; restore a copy")
