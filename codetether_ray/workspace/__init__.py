"""Source trees of a run: git worktrees, or copies outside git. `open_workspace` chooses."""

from codetether_ray.workspace.open import open_workspace

__all__ = ["open_workspace"]
