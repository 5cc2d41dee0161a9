"""A small house of two months for the tests of commands: taken in, posted, and written to the lake as the assets would."""

from datetime import date
from pathlib import Path

import polars as pl

from assets.finance.accounts import chart_frame, default_chart
from assets.finance.assets import TRANSACTIONS
from assets.finance.booking import book
from assets.finance.fx import daily_ratios
from assets.finance.posting import value_lines, wanted_postings, with_rates
from assets.finance.rules import Event
from assets.finance.statements import daily_report
from assets.ingestion.mapping import load_preset
from assets.inventory.stock_values import value_new
from luxauto_pipelines.ingest import ingest_orders, ingest_reference
from luxauto_pipelines.instance import reload
from resources.lake import Lake
from resources.store.brand_store import BrandStore
from resources.store.catalog import read_catalog, read_costs
from resources.store.ledger import post, read_postings, write_accounts
from resources.store.orders import read_order_lines
from resources.store.rates import read_rates
from resources.store.stock_valuation import read_valued

FIRST, LAST = date(2026, 2, 1), date(2026, 3, 31)
ORDERS = """\
order_number,line_type,sku,quantity,unit_price,currency,occurred_at,channel,country,customer_id
1,goods,BAG,1,1000.00,EUR,2026-02-03T10:00:00Z,online_store,FR,anna
1,shipping,,1,20.00,EUR,2026-02-03T10:00:00Z,online_store,FR,anna
1,tax,,1,200.00,EUR,2026-02-03T10:00:00Z,online_store,FR,anna
2,goods,BELT,2,110.00,USD,2026-03-02T10:00:00Z,online_store,US,bea
3,goods,BAG,1,900.00,EUR,2026-02-10T10:00:00Z,wholesale,IT,shop
4,goods,BAG,-1,1000.00,EUR,2026-03-20T10:00:00Z,online_store,FR,anna
"""
CATALOG = """\
sku,product_name,collection,color,size,cost,currency
BAG,A bag,Spring,red,,400.00,EUR
BELT,A belt,Spring,black,M,30.00,EUR
"""
RATES = "date,base,quote,rate\n" + "".join(f"2026-03-{n:02},EUR,USD,1.1\n" for n in range(1, 32))


def take_in(folder: Path) -> BrandStore:
    """Orders, catalogue, rates and one payment of a wholesale client, in the installation that the environment names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"orders": ORDERS, "catalog": CATALOG, "rates": RATES}.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    ingest_orders(reload(), folder / "orders.csv", load_preset("luxauto"), "luxauto", lambda stage: None)
    for kind in ("catalog", "rates"):
        ingest_reference(reload(), folder / f"{kind}.csv", kind, lambda stage: None)
    return reload()


def close(books: BrandStore) -> Lake:
    """The days posted and in the lake."""
    base = books.settings.current.base_currency
    value_new(books, LAST)
    with books.write() as (connection, brand):
        lines = read_order_lines(connection, brand, FIRST, LAST)
        costs, catalog = read_costs(connection, brand), read_catalog(connection, brand)
        ratios = daily_ratios(read_rates(connection, brand), base)
        valued = value_lines(lines, costs, ratios, base)
        wanted = with_rates(wanted_postings(valued, default_chart()), ratios)
        post(connection, brand, wanted, write_accounts(connection, brand, chart_frame()), FIRST, LAST)
        names = {"channel": "wholesale", "bank": "main"}
        paid = Event("customer_payment", "p1", date(2026, 3, 30), "EUR", {"amount": 50000}, names, reference="3")
        book(connection, brand, base, [paid])
        postings = read_postings(connection, brand, FIRST, LAST)
        moved = read_valued(connection, brand, FIRST, LAST)
    lake = Lake(books.settings.lake_url, books.settings.brand)
    customer = pl.col("customer_id").cast(pl.String).alias("customer")
    for name, frame in {
        "ledger": postings,
        "movement_costs": moved,
        "transactions": lines.with_columns(customer).select(*TRANSACTIONS),
        "financial_report": daily_report(postings, valued, base),
    }.items():
        for (day,), rows in frame.group_by("day"):
            lake.write(name, rows, str(day))
    for name, frame in {"sku_costs": costs, "catalog": catalog, "fx_rates": ratios}.items():
        lake.write(name, frame)
    return lake
