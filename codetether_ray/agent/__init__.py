"""The agent: decide, ask, act, note; one loop for every kind of agent."""
