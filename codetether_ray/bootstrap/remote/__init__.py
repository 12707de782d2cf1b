"""Runs on a cluster that nobody waits for: submitted, followed, fetched."""
