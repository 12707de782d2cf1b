"""A worker's tasks done as sessions and swarms, and the worker put together."""
