"""The store over SQLAlchemy Core: SQLite by default, PostgreSQL when outgrown."""

from autopack.adapters.store.database import resolve_database_url
from autopack.adapters.store.sql_store import SqlStore, open_store

__all__ = ["SqlStore", "open_store", "resolve_database_url"]
