"""A run's trees on all nodes of a cluster: made, committed and let go of where their agents are."""
