"""The reference: bare FastAPI routes that do one SQL statement each, on the store of the same installation."""

import json
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import text

from resources.settings import load_settings
from resources.store import open_store

app = FastAPI()
engine = open_store(load_settings().database_url).engine
_READ = text(
    "SELECT w.key, w.name, w.state, w.progress, w.started_at, s.name, s.state, s.error, s.result "
    "FROM workflows w JOIN workflow_steps s ON s.workflow_id = w.id WHERE w.key = :key ORDER BY s.position"
)
_WRITE = text(
    "INSERT INTO transactions (brand_id, type, amount_minor, currency, occurred_at, details, key) "
    "VALUES (1, 'expense', :amount, :currency, :at, :details, :key) RETURNING id"
)


class Money(BaseModel):
    """A money event."""

    type: str
    amount: float
    currency: str
    order_id: str


@app.get("/status/{key}")
def status(key: str) -> dict[str, Any]:
    with engine.connect() as connection:
        rows = connection.execute(_READ, {"key": key}).fetchall()
    return {"workflow_id": key, "status": rows[0][2], "steps": [[*row[5:8]] for row in rows]}


@app.post("/record")
def record(money: Money) -> dict[str, Any]:
    values = {
        "amount": round(money.amount * 100),
        "currency": money.currency,
        "at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
        "details": json.dumps({"order_id": money.order_id}),
        "key": f"bare:{money.order_id}",
    }
    with engine.begin() as connection:
        number = connection.execute(_WRITE, values).scalar_one()
    return {"success": True, "transaction_id": number, **money.model_dump()}
