"""The ledger's tables. A change here needs a migration in ``migrations/versions``; a test compares both."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_Id = BigInteger().with_variant(Integer, "sqlite")

jobs = Table(
    "jobs",
    metadata,
    Column("job_id", String(36), primary_key=True),
    Column("owner_id", String(36), nullable=False),
    Column("dataset_name", Text, nullable=False),
    Column("scene_name", Text, nullable=False),
    Column("stage", String(16), nullable=False),
    Column("progress", Double, nullable=False),
    Column("message", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("queued_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("expires_at", Double),
    Column("n_images", Integer, nullable=False),
    Column("n_points", Integer, nullable=False),
    Column("registration_rate", Double),
    Column("error", Text),
    Column("error_code", String(32)),
    Column("options", JSON, nullable=False),
    Column("drift", JSON, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("webhook_url", Text),
    Column("webhook_due_at", Double),
    Column("webhook_tries", Integer, nullable=False),
    Column("idempotency_key", Text),
    Column("runner", Text),
    Column("lease_until", Double),
    UniqueConstraint("owner_id", "idempotency_key"),
    Index(None, "created_at", "job_id"),
    Index(None, "owner_id", "created_at", "job_id"),
    Index(None, "stage", "queued_at"),
    Index(None, "finished_at"),
    Index(None, "webhook_due_at"),
)

events = Table(
    "events",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("job_id", String(36), ForeignKey("jobs.job_id", ondelete="CASCADE"), nullable=False),
    Column("at", Double, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("progress", Double, nullable=False),
    Column("message", Text, nullable=False),
    Index(None, "job_id", "id"),
    sqlite_autoincrement=True,  # an id is never given twice, or Last-Event-ID would skip what came after a deletion
)

runners = Table(
    "runners",
    metadata,
    Column("runner", String(255), primary_key=True),
    Column("device", Text, nullable=False),
    Column("dashboard_url", Text, nullable=False),
    Column("machines", JSON, nullable=False),
    Column("seen_at", Double, nullable=False),
)

wishes = Table(
    "wishes",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("taken_at", Double, nullable=False),
    Column("wanted_by", String(36)),
    Column("due_at", Double),
)
RETRAIN = "retrain"
"""Name of the only row, which is always there."""

users = Table(
    "users",
    metadata,
    Column("user_id", String(36), primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("tokens_from", Double, nullable=False, server_default="0"),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("family", String(36), nullable=False, index=True),
    Column("user_id", String(36), ForeignKey("users.user_id", ondelete="CASCADE"), nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("used", Boolean, nullable=False),
)

revoked_tokens = Table(
    "revoked_tokens",
    metadata,
    Column("jti", String(64), primary_key=True),
    Column("expires_at", Double, nullable=False, index=True),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", String(36), primary_key=True),
    Column("user_id", String(36), ForeignKey("users.user_id", ondelete="CASCADE"), nullable=False, index=True),
    Column("label", Text, nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
    Column("last_used_at", Double),
)

login_failures = Table(
    "login_failures",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("subject", Text, nullable=False),
    Column("at", Double, nullable=False),
    Index(None, "subject", "at"),
)
