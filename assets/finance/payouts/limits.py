"""How far amounts, dates and quantities may be apart: `$LUXAUTO_HOME/reconciliation.yaml`, over these defaults."""

from decimal import Decimal
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assets.finance.payouts.frames import StatementError
from assets.finance.payouts.matching import Limits

LIMITS_FILE = "reconciliation.yaml"


class ReconciliationLimits(BaseModel):
    """Days and percentages that a brand can set. A percentage is of what was ordered, or of the order's worth."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    date_window_days: int = Field(default=3, ge=0, le=60, description="Between an order and a payment that names none.")
    fx_tolerance_percent: Decimal = Field(
        default=Decimal(3), ge=0, le=20, description="Between a payment and the day's rate."
    )
    bank_early_days: int = Field(default=2, ge=0, le=30, description="How long before its day a payout may be booked.")
    bank_late_days: int = Field(default=10, ge=0, le=60, description="After so many days a payout is overdue.")
    warn_after_days: int = Field(default=14, ge=1, description="Older items without a counterpart make a check warn.")
    price_tolerance_percent: Decimal = Field(
        default=Decimal(1), ge=0, le=100, description="Of a purchase's unit price."
    )
    quantity_tolerance_percent: Decimal = Field(
        default=Decimal(0), ge=0, le=100, description="Of the quantity received."
    )

    @property
    def matching(self) -> Limits:
        return Limits(
            self.date_window_days, int(self.fx_tolerance_percent * 10_000), self.bank_early_days, self.bank_late_days
        )


def load_limits(home: Path) -> ReconciliationLimits:
    """The brand's limits. Raises StatementError naming the setting that is wrong."""
    file = home / LIMITS_FILE
    if not file.is_file():
        return ReconciliationLimits()
    try:
        return ReconciliationLimits.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")) or {})
    except yaml.YAMLError as error:
        raise StatementError(f"{file} is not valid YAML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise StatementError(f"{file}: {problems}. See docs/reconciliation.md for the settings.") from error
