"""The relational store: what must never be lost. SQLite by default, PostgreSQL in production."""

from resources.store.engine import Store, StoreError, open_store

__all__ = ["Store", "StoreError", "open_store"]
