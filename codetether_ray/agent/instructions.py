"""The AGENTS.md files that apply to a directory."""

from pathlib import Path

NAME = "AGENTS.md"
"""Of the files, in whatever directory."""
_MAX_BYTES = 8_000  # of one file: about 2,000 tokens


def find_instructions(root: Path) -> tuple[tuple[str, str], ...]:
    """(path, text) of each AGENTS.md from the git root down to `root`, nearest last.

    Paths are relative to the git root. Outside a git repository only `root` itself is looked at.
    A file longer than 8,000 bytes is cut and says so; one that cannot be read is left out.
    """
    folders = _folders(root.resolve())
    found = []
    for folder in reversed(folders):
        path = folder / NAME
        text = _read(path)
        if text:
            found.append((path.relative_to(folders[-1]).as_posix(), text))
    return tuple(found)


def _folders(root: Path) -> list[Path]:
    """`root` and what is above it, up to the git root."""
    folders = []
    for folder in (root, *root.parents):
        folders.append(folder)
        if (folder / ".git").exists():
            return folders
    return [root]


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
