"""HTTP: one router per family of paths."""
