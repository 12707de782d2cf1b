"""The audit log as commands and runs use it: opened once a process, around what they do."""
