"""The prompt of `codetether` without arguments: what is typed becomes turns and runs."""
