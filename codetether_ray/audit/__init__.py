"""The audit log: chained lines, signed checkpoints, and what can be proven from them."""
