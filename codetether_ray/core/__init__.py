"""Values: ids, messages, events, usage, specs, errors. Pure; imports nothing above it."""
