"""Agents behind A2A tasks and sessions over HTTP: contexts, workspaces, turns, what is told."""
