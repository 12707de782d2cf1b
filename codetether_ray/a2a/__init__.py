"""Agent-to-agent tasks: one handler for every version and transport of the A2A protocol."""
