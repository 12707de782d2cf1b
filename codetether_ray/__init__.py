"""codetether-ray: a distributed coding-agent system on Ray."""

__version__ = "0.1.0"
