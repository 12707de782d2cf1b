"""A cluster's truth: the head's data directory, as commands anywhere on the cluster reach it."""
