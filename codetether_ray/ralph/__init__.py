"""Ralph: a PRD is worked off story by story, each by a fresh agent, each behind its gates."""
