"""What outlives runs, in SQLite."""
