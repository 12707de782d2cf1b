"""The version of the rules by which a Ralph run is led, and their numbers."""

RULES = 1
"""Of the rules for picking, judging, blocking and ending, recorded by every run. Raise it with
every change of a decision: a replay then tells a newer rule from a tampered journal."""

LIKE_FAILURES = 2
"""So many like failures in a row, and the story's next attempt diagnoses."""

FAULTS = 3
"""How often an attempt is begun again after a fault of the infrastructure, in one try of a run."""

FIRST_PAUSE_S = 2.0
"""Before the first of them; each further pause is five times as long."""
