"""Rules that the retail figures keep: they are of the units and the money that the other assets have."""

from assets.expectations import monthly_check, sql_check

sell_through_is_the_stock = monthly_check(
    "sell_through",
    "closes_with_what_is_there",
    """
    WITH months AS (SELECT DISTINCT month FROM sell_through),
    moves AS (
        SELECT sku, date_trunc('month', day) AS moved_in, sum(quantity) AS units FROM stock_movements
        WHERE kind NOT IN ('reservation', 'transfer') GROUP BY ALL
    ), left_over AS (
        SELECT month, sku, sum(units) AS units FROM months JOIN moves ON moved_in <= month GROUP BY ALL
    )
    SELECT month, sku, closing_units, units FROM sell_through FULL JOIN left_over USING (month, sku)
    WHERE coalesce(closing_units, 0) <> coalesce(units, 0)
    """,
    "Every month closes with the units that the movements until then have left.",
    blocking=False,
)

cover_is_of_counted_stock = sql_check(
    "weeks_of_cover",
    "is_of_the_levels",
    """
    SELECT sku, cover.on_hand, levels.on_hand AS level FROM weeks_of_cover AS cover
    FULL JOIN (SELECT * FROM stock_levels WHERE counted) AS levels USING (sku)
    WHERE cover.on_hand IS DISTINCT FROM levels.on_hand OR cover.weekly_units < 0
    """,
    "Every SKU that was ever counted is there with its level, and no pace is below zero.",
    blocking=False,
)

markdowns_add_up = sql_check(
    "markdown_effect",
    "has_every_unit_sold",
    """
    SELECT effect.units, lines.units AS sold FROM (SELECT sum(units) AS units FROM markdown_effect) AS effect,
        (SELECT sum(quantity) AS units FROM transactions WHERE kind = 'goods' AND quantity > 0) AS lines
    WHERE coalesce(effect.units, 0) <> coalesce(lines.units, 0)
    """,
    "Its bands add up to all units that were sold.",
)

turns_are_margins = sql_check(
    "stock_turns",
    "each_sku_once_and_never_below_nothing",
    """
    SELECT sku, count(*) AS rows, min(base_average_stock_minor) AS average FROM stock_turns
    GROUP BY sku HAVING count(*) > 1 OR min(CASE WHEN turns IS NOT NULL THEN base_average_stock_minor END) <= 0
    """,
    "Every SKU is there once, and turns are of an average stock above zero.",
)

CHECKS = [sell_through_is_the_stock, cover_is_of_counted_stock, markdowns_add_up, turns_are_margins]
