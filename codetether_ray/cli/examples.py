"""Examples at the end of a command's help."""


def examples(*lines: str) -> str:
    r"""An epilog that lists command lines as they are (`\b` keeps click from wrapping them)."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
