"""Records in SQL databases: SQLite on one machine, PostgreSQL for more."""
