"""The command line: speaks to people."""
