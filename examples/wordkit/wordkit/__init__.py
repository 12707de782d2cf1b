"""Words: slugs, wrapping, counting, reports."""

__all__ = []
