"""One replacement in one file: what `edit` and `multiedit` share."""

from codetether_ray.core.errors import ToolError
from codetether_ray.tools.files import Changes
from codetether_ray.tools.matching import find, line_of
from codetether_ray.tools.text import Unified


def replace_text(changes: Changes, path: str, old: str, new: str, *, replace_all: bool) -> str:
    """Stage the replacement; a sentence on what it does.

    Raises:
        ToolError: the text is not there, or not there once; nothing was staged.
    """
    place = changes.locate(path)
    if not old:
        raise ToolError("old_string is empty; use write_file to create or fill a file")
    file = changes.read(place)
    unified = Unified(file.text)
    old, new = old.replace("\r\n", "\n"), new.replace("\r\n", "\n")
    if old == new:
        raise ToolError("old_string and new_string are the same")
    match = find(unified.text, old, new, replace_all=replace_all)
    changed = unified.replace(match.spans, match.new)
    if changed == file.text:
        raise ToolError("the file already reads so; nothing to replace")
    changes.write(place, file.with_text(changed).encode())
    lines = [str(line_of(unified.text, start)) for start, _ in match.spans]
    where = f"line {lines[0]}" if len(lines) == 1 else f"lines {', '.join(lines[:10])}"
    count = "" if len(lines) == 1 else f"{len(lines)} places, "
    note = f"; {match.note}" if match.note else ""
    return f"edited {place.relative} ({count}{where}{note})"
