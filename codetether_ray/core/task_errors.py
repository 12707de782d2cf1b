"""What goes wrong with the store of A2A tasks."""

from codetether_ray.core.root_error import CodetetherError


class TaskStoreError(CodetetherError):
    """The store of tasks cannot be read or written; the same may work later."""
