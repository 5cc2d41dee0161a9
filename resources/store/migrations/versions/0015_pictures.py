"""Pictures: calls of providers and their cost, the cache, what was made and decided, batches."""

import sqlalchemy as sa
from alembic import op

from resources.store.types import UtcDateTime, big_integer
from resources.store.vocabulary import IMAGE_BATCH_STATES, IMAGE_CALL_STATES, PICTURE_STATES

revision = "0015"
down_revision = "0014"

_WAITING = sa.text("state = 'needs_review'")
_UNSETTLED = sa.text("state = 'reserved'")


def upgrade() -> None:
    op.create_table(
        "image_batches",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("request_key", sa.String(length=255), nullable=False),
        sa.Column("provider", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("vendor_id", sa.String(length=255), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                *IMAGE_BATCH_STATES, name="image_batch_state", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column("items", sa.JSON(), nullable=False),
        sa.Column("results", sa.JSON(), nullable=False),
        sa.Column("campaign", sa.String(length=128), nullable=True),
        sa.Column("principal", sa.String(length=255), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("reserved_micros", sa.BigInteger(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("checked_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_image_batches_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_image_batches")),
        sa.UniqueConstraint("brand_id", "request_key", name=op.f("uq_image_batches_brand_id_request_key")),
    )
    op.create_index("ix_image_batches_state", "image_batches", ["brand_id", "state"], unique=False)
    op.create_table(
        "image_cache",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("content_key", sa.String(length=64), nullable=False),
        sa.Column("provider", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("entry", sa.JSON(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("hits", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("used_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_image_cache_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_image_cache")),
        sa.UniqueConstraint("brand_id", "content_key", name=op.f("uq_image_cache_brand_id_content_key")),
    )
    op.create_index("ix_image_cache_used", "image_cache", ["brand_id", "used_at"], unique=False)
    op.create_table(
        "image_calls",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("request_key", sa.String(length=255), nullable=False),
        sa.Column("provider", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("content_key", sa.String(length=64), nullable=False),
        sa.Column("campaign", sa.String(length=128), nullable=True),
        sa.Column("principal", sa.String(length=255), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(*IMAGE_CALL_STATES, name="image_call_state", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("reserved_micros", sa.BigInteger(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=True),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("error_code", sa.String(length=128), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("usage", sa.JSON(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_image_calls_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_image_calls")),
    )
    op.create_index("ix_image_calls_day", "image_calls", ["brand_id", "day"], unique=False)
    op.create_index("ix_image_calls_request", "image_calls", ["brand_id", "request_key"], unique=False)
    op.create_index(
        "ix_image_calls_unsettled",
        "image_calls",
        ["brand_id", "started_at"],
        unique=False,
        sqlite_where=_UNSETTLED,
        postgresql_where=_UNSETTLED,
    )
    op.create_table(
        "image_flights",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("content_key", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("began_at", UtcDateTime(), nullable=False),
        sa.Column("lapses_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_image_flights_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_image_flights")),
        sa.UniqueConstraint("brand_id", "content_key", name=op.f("uq_image_flights_brand_id_content_key")),
    )
    op.create_table(
        "pictures",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("public_id", sa.String(length=64), nullable=False),
        sa.Column("request_key", sa.String(length=255), nullable=False),
        sa.Column("brief", sa.String(length=128), nullable=True),
        sa.Column("sku", sa.String(length=128), nullable=True),
        sa.Column("campaign", sa.String(length=128), nullable=True),
        sa.Column("content_type", sa.String(length=128), nullable=False),
        sa.Column("provider", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("media_type", sa.String(length=128), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(*PICTURE_STATES, name="picture_state", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("checks", sa.JSON(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False),
        sa.Column("kit_version", sa.String(length=128), nullable=False),
        sa.Column("fingerprint", sa.String(length=33), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_pictures_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pictures")),
        sa.UniqueConstraint("brand_id", "public_id", name=op.f("uq_pictures_brand_id_public_id")),
    )
    op.create_index("ix_pictures_brief", "pictures", ["brand_id", "brief"], unique=False)
    op.create_index("ix_pictures_request", "pictures", ["brand_id", "request_key"], unique=False)
    op.create_index(
        "ix_pictures_waiting",
        "pictures",
        ["brand_id", "created_at"],
        unique=False,
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    )
