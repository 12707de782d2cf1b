"""Relays: a small team of agents that work on one task by turns, in one tree."""
