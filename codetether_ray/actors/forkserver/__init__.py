"""Makes Ray's workers by forking a process that has imported everything.

`hook` runs in each worker that Ray launches and hands it over to its node's `server`; `child` is
what a fork becomes. Where anything does not fit, the worker starts as Ray meant it to.
"""
