"""The version of the rules by which a relay is led."""

RULES = 1
"""Of the rules for the team, the order of turns, batons and the end, recorded by every relay.
Raise it with every change of a decision: a replay then tells a newer rule from a tampered journal.
"""
