"""The journal: append-only JSONL segments of a run, group commit, recovery, reading."""
