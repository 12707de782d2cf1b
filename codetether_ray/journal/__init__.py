"""The durable event log: segments, recovery, listing."""
