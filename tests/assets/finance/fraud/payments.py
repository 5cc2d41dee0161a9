"""Invented card payments for the tests: clients with habits of their own, and three kinds of fraud among them."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl

START = datetime(2024, 1, 1)


def payments(days: int = 45, clients: int = 150, terminals: int = 60, seed: int = 5) -> pl.DataFrame:
    """About 1.5 payments a client and day, in order of time, under the column names of the Fraud Detection Handbook.

    Fraud, by its scenario: amounts above 250 (1); every sixth day a terminal is compromised for four weeks (2); every day a
    client for one week, in which a third of the payments are five times as large (3).
    """
    rng = np.random.default_rng(seed)
    usual = rng.uniform(5, 90, clients)
    count = rng.poisson(1.5, (days, clients))
    day, client = (np.repeat(axis.ravel(), count.ravel()) for axis in np.indices(count.shape))
    second = rng.integers(0, 86_400, len(day))
    order = np.lexsort((second, day))
    day, client, second = day[order], client[order], second[order]
    amount = np.abs(rng.normal(usual[client], usual[client] / 2)).round(2)
    terminal = rng.integers(0, terminals, len(day))
    kind = np.where(amount > 250, 1, 0)
    for begun in range(days):
        at_terminal = (terminal == rng.integers(terminals)) & (day >= begun) & (day < begun + 28) & (begun % 6 == 0)
        of_client = (
            (client == rng.integers(clients)) & (day >= begun) & (day < begun + 7) & (rng.random(len(day)) < 1 / 3)
        )
        amount = np.where(of_client, (amount * 5).round(2), amount)
        kind = np.where(at_terminal, 2, np.where(of_client, 3, kind))
    moments = [START + timedelta(days=int(d), seconds=int(s)) for d, s in zip(day, second, strict=True)]
    return pl.DataFrame(
        {
            "TRANSACTION_ID": np.arange(len(day)),
            "TX_DATETIME": moments,
            "CUSTOMER_ID": client,
            "TERMINAL_ID": terminal,
            "TX_AMOUNT": amount,
            "TX_FRAUD": (kind > 0).astype(np.int8),
            "TX_FRAUD_SCENARIO": kind.astype(np.int8),
        }
    )
