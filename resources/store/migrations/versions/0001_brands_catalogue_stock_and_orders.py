"""Brands, catalogue, stock and orders."""

import sqlalchemy as sa
from alembic import op

from resources.store.types import UtcDateTime, big_integer

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "brands",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("slug", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("base_currency", sa.String(length=3), nullable=False),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_brands")),
        sa.UniqueConstraint("slug", name=op.f("uq_brands_slug")),
    )
    op.create_table(
        "channels",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("code", sa.String(length=128), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "online_store",
                "physical_store",
                "marketplace",
                "social_commerce",
                "wholesale",
                "b2b",
                "woocommerce",
                "shopify",
                "amazon",
                "ebay",
                name="channel_kind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_channels_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channels")),
        sa.UniqueConstraint("brand_id", "code", name=op.f("uq_channels_brand_id_code")),
    )
    op.create_table(
        "customers",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("external_id", sa.String(length=128), nullable=False),
        sa.Column("first_seen", sa.Date(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_customers_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customers")),
        sa.UniqueConstraint("brand_id", "external_id", name=op.f("uq_customers_brand_id_external_id")),
    )
    op.create_table(
        "imports",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "orders",
                "catalog",
                "stock",
                "rates",
                name="import_kind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("file_name", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("mapping", sa.String(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=False),
        sa.Column("rows_in", sa.Integer(), nullable=False),
        sa.Column("rows_new", sa.Integer(), nullable=False),
        sa.Column("rows_known", sa.Integer(), nullable=False),
        sa.Column("rows_quarantined", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_imports_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
    )
    op.create_table(
        "locations",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("code", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_locations_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_locations")),
        sa.UniqueConstraint("brand_id", "code", name=op.f("uq_locations_brand_id_code")),
    )
    op.create_table(
        "products",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("code", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("category", sa.String(), nullable=True),
        sa.Column("subcategory", sa.String(), nullable=True),
        sa.Column("collection", sa.String(), nullable=True),
        sa.Column("launched_on", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_products_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_products")),
        sa.UniqueConstraint("brand_id", "code", name=op.f("uq_products_brand_id_code")),
    )
    op.create_table(
        "customer_profiles",
        sa.Column("customer_id", big_integer, autoincrement=False, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("phone", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["brand_id"], ["brands.id"], name=op.f("fk_customer_profiles_brand_id_brands")
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
            name=op.f("fk_customer_profiles_customer_id_customers"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_customer_profiles")),
    )
    op.create_table(
        "orders",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("channel_id", big_integer, nullable=False),
        sa.Column("number", sa.String(length=128), nullable=False),
        sa.Column("customer_id", big_integer, nullable=True),
        sa.Column("country", sa.String(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("placed_at", UtcDateTime(), nullable=False),
        sa.Column("local_date", sa.Date(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_orders_brand_id_brands")),
        sa.ForeignKeyConstraint(["channel_id"], ["channels.id"], name=op.f("fk_orders_channel_id_channels")),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_orders_customer_id_customers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint(
            "brand_id", "channel_id", "number", name=op.f("uq_orders_brand_id_channel_id_number")
        ),
    )
    op.create_table(
        "skus",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("product_id", big_integer, nullable=True),
        sa.Column("sku", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("size", sa.String(), nullable=True),
        sa.Column("color", sa.String(), nullable=True),
        sa.Column("retail_price_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("supplier", sa.String(), nullable=True),
        sa.Column("lead_time_days", sa.Integer(), nullable=True),
        sa.Column("min_order_quantity", sa.Integer(), nullable=True),
        sa.Column("reorder_point", sa.Integer(), nullable=True),
        sa.Column(
            "reorder_point_source",
            sa.Enum(
                "manual",
                "plan",
                name="reorder_point_source",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_skus_brand_id_brands")),
        sa.ForeignKeyConstraint(["product_id"], ["products.id"], name=op.f("fk_skus_product_id_products")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_skus")),
        sa.UniqueConstraint("brand_id", "sku", name=op.f("uq_skus_brand_id_sku")),
    )
    op.create_table(
        "listings",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("channel_id", big_integer, nullable=False),
        sa.Column("sku_id", big_integer, nullable=False),
        sa.Column("external_id", sa.String(), nullable=True),
        sa.Column("price_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("quantity", sa.Integer(), nullable=True),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_listings_brand_id_brands")),
        sa.ForeignKeyConstraint(
            ["channel_id"], ["channels.id"], name=op.f("fk_listings_channel_id_channels")
        ),
        sa.ForeignKeyConstraint(["sku_id"], ["skus.id"], name=op.f("fk_listings_sku_id_skus")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_listings")),
        sa.UniqueConstraint("channel_id", "sku_id", name=op.f("uq_listings_channel_id_sku_id")),
    )
    op.create_table(
        "order_lines",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("order_id", big_integer, nullable=False),
        sa.Column("import_id", big_integer, nullable=False),
        sa.Column("row_number", sa.Integer(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "goods",
                "gift",
                "stock_adjustment",
                "shipping",
                "discount",
                "tax",
                "gift_card",
                "refund",
                "fee",
                "adjustment",
                "bad_debt",
                "sample",
                "other",
                "test",
                name="line_kind",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("code", sa.String(length=128), nullable=False),
        sa.Column("sku_id", big_integer, nullable=True),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("unit_price_micros", sa.BigInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("occurrence", sa.Integer(), nullable=False),
        sa.Column("occurred_at", UtcDateTime(), nullable=False),
        sa.Column("local_date", sa.Date(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_order_lines_order_id_orders")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_lines")),
        sa.UniqueConstraint(
            "order_id", "code", "quantity", "unit_price_micros", "occurrence", name="uq_order_lines_identity"
        ),
    )
    op.create_index("ix_order_lines_day", "order_lines", ["brand_id", "local_date"], unique=False)
    op.create_table(
        "sku_costs",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("sku_id", big_integer, nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("cost_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_sku_costs_brand_id_brands")),
        sa.ForeignKeyConstraint(["sku_id"], ["skus.id"], name=op.f("fk_sku_costs_sku_id_skus")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sku_costs")),
        sa.UniqueConstraint("sku_id", "valid_from", name=op.f("uq_sku_costs_sku_id_valid_from")),
    )
    op.create_table(
        "stock_movements",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("sku_id", big_integer, nullable=False),
        sa.Column("location_id", big_integer, nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "opening",
                "receipt",
                "sale",
                "return",
                "gift",
                "adjustment",
                "write_off",
                "transfer",
                "reservation",
                name="movement_kind",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("occurred_at", UtcDateTime(), nullable=False),
        sa.Column("local_date", sa.Date(), nullable=False),
        sa.Column("reference", sa.String(), nullable=True),
        sa.Column("order_line_id", big_integer, nullable=True),
        sa.Column("import_key", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["sku_id"], ["skus.id"], name=op.f("fk_stock_movements_sku_id_skus")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stock_movements")),
    )
    op.create_index("ix_stock_movements_day", "stock_movements", ["brand_id", "local_date"], unique=False)
    op.create_index("ix_stock_movements_sku", "stock_movements", ["sku_id"], unique=False)
    op.create_index(
        "uq_stock_movements_import_key",
        "stock_movements",
        ["brand_id", "import_key"],
        unique=True,
        sqlite_where=sa.text("import_key IS NOT NULL"),
        postgresql_where=sa.text("import_key IS NOT NULL"),
    )
