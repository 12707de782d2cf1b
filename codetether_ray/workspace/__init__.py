"""Source trees in git: base, worktrees, commits, merges."""
