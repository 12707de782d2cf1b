"""The AGENTS.md files that apply to a directory."""

from pathlib import Path

_NAME = "AGENTS.md"
_MAX_BYTES = 8_000  # of one file: about 2,000 tokens


def find_instructions(root: Path) -> tuple[tuple[str, str], ...]:
    """(path, text) of each AGENTS.md from the git root down to `root`, nearest last.

    Paths are relative to the git root. Outside a git repository only `root` itself is looked at.
    A file longer than 8,000 bytes is cut and says so; one that cannot be read is left out.
    """
    root = root.resolve()
    top = next((d for d in (root, *root.parents) if (d / ".git").exists()), root)
    folders = [d for d in (root, *root.parents) if d.is_relative_to(top)]
    found = []
    for folder in reversed(folders):
        text = _read(folder / _NAME)
        if text:
            found.append(((folder / _NAME).relative_to(top).as_posix(), text))
    return tuple(found)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError:
        return ""
    text = data[:_MAX_BYTES].decode("utf-8", "ignore" if len(data) > _MAX_BYTES else "replace")
    if len(data) > _MAX_BYTES:
        text += f"\n[cut after {_MAX_BYTES} bytes; read the file {path.name} for the rest]"
    return text.strip()
