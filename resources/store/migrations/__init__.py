"""Alembic migrations. Forwards only; each runs on SQLite and on PostgreSQL."""
