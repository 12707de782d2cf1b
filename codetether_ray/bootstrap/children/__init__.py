"""Runs that a run's agents start."""
