"""The finance and inventory agent: stock, money events, demand and reports, for workflows and the gateway alike.

Here stands what it can do; each thing is done in a module of its own.
"""

from collections.abc import Callable
from typing import Any

from luxauto_pipelines.agents.finance_inventory.inventory import (
    channel_sync_status,
    remove_inventory_setup,
    restore_inventory,
    setup_inventory,
    stock_levels,
    sync_inventory,
)
from luxauto_pipelines.agents.finance_inventory.parameters import (
    ChannelsQuery,
    ChannelsSync,
    ExplanationRequest,
    ForecastRequest,
    InventorySetup,
    InventorySync,
    Nothing,
    Replenishment,
    ReportRequest,
    StatementRequest,
    StockQuery,
    TransactionRecord,
    Undoing,
)
from luxauto_pipelines.agents.finance_inventory.report import financial_report
from luxauto_pipelines.agents.finance_inventory.state import NAME, VERSION, status
from luxauto_pipelines.agents.finance_inventory.statements import explain_statement, statement
from luxauto_pipelines.agents.finance_inventory.transactions import record_transaction, reverse_transaction
from luxauto_pipelines.agents.registry import Agent, Call, Method


def _forecast(call: Call, wanted: ForecastRequest) -> dict[str, Any]:
    # It imports numerics, which a process that only records sales need not pay for.
    from luxauto_pipelines.agents.finance_inventory.demand import forecast

    return forecast(call, wanted)


def _of_channels(name: str) -> Callable[[Call, Any], dict[str, Any]]:
    # It imports what speaks to vendors, which most processes do not do.
    def do(call: Call, wanted: Any) -> dict[str, Any]:
        from luxauto_pipelines.agents.finance_inventory import channels

        return getattr(channels, name)(call, wanted)

    return do


AGENT = Agent(
    NAME,
    VERSION,
    {
        "sync_inventory": Method(
            sync_inventory, InventorySync, "restore_inventory", "Upsert SKUs and bring stock to a channel's count."
        ),
        "restore_inventory": Method(restore_inventory, Undoing, None, "Take a sync's stock movements back."),
        "record_transaction": Method(
            record_transaction,
            TransactionRecord,
            "reverse_transaction",
            "Record a sale, a refund or another money event.",
        ),
        "reverse_transaction": Method(reverse_transaction, Undoing, None, "Record the equal and opposite transaction."),
        "forecast": Method(_forecast, ForecastRequest, None, "Expected demand of one item by day."),
        "financial_report": Method(financial_report, ReportRequest, None, "Revenue, cost and profit of a period."),
        "statement": Method(statement, StatementRequest, None, "A report of the books by its name."),
        "explain_statement": Method(
            explain_statement, ExplanationRequest, None, "What a cell of a report is made of, down to entries."
        ),
        "setup_inventory": Method(
            setup_inventory, InventorySetup, "remove_inventory_setup", "Make channels and the main location."
        ),
        "remove_inventory_setup": Method(remove_inventory_setup, Undoing, None, "Remove what a setup made, if unused."),
        "stock_levels": Method(stock_levels, StockQuery, None, "On hand, reserved and available of SKUs."),
        "channel_sync_status": Method(channel_sync_status, Nothing, None, "When each channel last told of its SKUs."),
        "sync_channels": Method(
            _of_channels("sync_channels"),
            ChannelsSync,
            None,
            "Take orders in from connected channels, and bring them to what they should show.",
        ),
        "reconcile_channels": Method(
            _of_channels("reconcile_channels"),
            ChannelsQuery,
            None,
            "Read connected channels anew and say how they differ from our stock.",
        ),
        "replenish": Method(
            _of_channels("replenish"),
            Replenishment,
            "withdraw_replenishment",
            "Draft the purchase orders that the reorder plan asks for.",
        ),
        "withdraw_replenishment": Method(
            _of_channels("withdraw_replenishment"), Undoing, None, "Cancel the drafts of a replenishment."
        ),
    },
    status,
)
AGENTS = (AGENT,)
