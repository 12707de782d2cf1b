"""Key results, measured in a clean tree of a commit."""
