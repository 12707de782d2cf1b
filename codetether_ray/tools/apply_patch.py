"""The tool `apply_patch`: a patch over several files, all or nothing."""

from pydantic import Field

from codetether_ray.core.errors import ToolError
from codetether_ray.ports.tool import Effect, Tool, ToolContext
from codetether_ray.tools.arguments import Arguments
from codetether_ray.tools.files import Changes
from codetether_ray.tools.patch import FilePatch, parse
from codetether_ray.tools.patching import apply, contents


class ApplyPatchArgs(Arguments):
    """Apply a patch to files, all or nothing.

    Takes unified diffs, and *** Begin Patch / *** Update File: p (@@ hunks) / *** Add File: p /
    *** Delete File: p / *** Move to: p / *** End Patch.
    """

    patch: str = Field(min_length=1)


async def apply_patch(args: ApplyPatchArgs, ctx: ToolContext) -> str:
    """What happened to each file."""
    changes = Changes(ctx.root)
    done: list[str] = []
    for patch in parse(args.patch):
        try:
            done.append(_stage(changes, patch))
        except ToolError as error:
            raise ToolError(f"{patch.path}: {error}\nNothing was changed.") from error
    changes.commit()
    return "\n".join(done)


def _stage(changes: Changes, patch: FilePatch) -> str:
    if patch.operation == "add":
        return _add(changes, patch)
    if patch.operation == "delete":
        return _delete(changes, patch)
    return _update(changes, patch)


def _add(changes: Changes, patch: FilePatch) -> str:
    place = changes.locate(patch.path)
    if changes.exists(place):
        raise ToolError("the file exists already; update it instead")
    changes.write(place, contents(patch).encode(), mode=patch.mode)
    return f"added {place.relative}"


def _delete(changes: Changes, patch: FilePatch) -> str:
    changes.refuse_link(patch.path)
    place = changes.locate(patch.path)
    if not changes.exists(place):
        raise ToolError("the file does not exist")
    if patch.hunks:
        rest, _ = apply(changes.read(place).text, patch)
        if rest:
            raise ToolError("the file holds more than the patch deletes")
    changes.delete(place)
    return f"deleted {place.relative}"


def _update(changes: Changes, patch: FilePatch) -> str:
    place = changes.locate(patch.path)
    notes: list[str] = []
    target = place
    if patch.new_path:
        changes.refuse_link(patch.path)
        target = changes.locate(patch.new_path)
        if target != place and changes.exists(target):
            raise ToolError(f"{target.relative} exists already; nothing can be moved there")
    if patch.hunks:
        file = changes.read(place)
        text, notes = apply(file.text, patch)
        data = file.with_text(text).encode()
    else:
        data = changes.read_bytes(place)
    mode = patch.mode if patch.mode is not None else changes.mode(place)
    if target != place:
        changes.delete(place)
    changes.write(target, data, mode=mode)
    what = f"{place.relative} to {target.relative}" if target != place else place.relative
    verb = "moved" if target != place else "updated"
    return f"{verb} {what}" + (f" ({'; '.join(notes)})" if notes else "")


TOOL = Tool("apply_patch", ApplyPatchArgs, apply_patch, Effect.WRITE)
