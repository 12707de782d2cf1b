"""The version of the rules by which a swarm is led."""

RULES = 1
"""Of the rules for plans, starts, blocks, merges and outcomes, recorded by every swarm. Raise it
with every change of a decision: a replay then tells a newer rule from a tampered journal."""
