"""Looks at runs that are over (or under way): text, a page, sums, and whether records fit."""
