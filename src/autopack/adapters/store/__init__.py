"""The store over SQLAlchemy Core: SQLite by default, PostgreSQL when outgrown."""
