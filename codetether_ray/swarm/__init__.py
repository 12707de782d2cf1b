"""Swarm: a task becomes a plan, the plan sub-agents, their work one branch."""
