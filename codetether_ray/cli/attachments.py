"""Files given by `-f`: pictures become image parts, everything else file parts."""

import base64
from pathlib import Path

from codetether_ray.core.errors import UsageError
from codetether_ray.core.messages import File, Image, Message, Part, Text

_MAX_BYTES = 20_000_000
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")


def message(text: str, files: tuple[Path, ...]) -> Message:
    """A user message of the attachments, then the text.

    Raises:
        UsageError: there is nothing to say, or a file cannot be read.
    """
    if not text.strip():
        raise UsageError("the message is empty")
    return Message(role="user", parts=(*(part(file) for file in files), Text(text=text)))


def part(path: Path) -> Part:
    """One attached file.

    Raises:
        UsageError: it cannot be read, or is too large to send.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot attach {path}: {error.strerror}") from error
    if len(data) > _MAX_BYTES:
        raise UsageError(f"cannot attach {path}: it is larger than {_MAX_BYTES // 1_000_000} MB")
    import mimetypes

    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if media_type in _IMAGES:
        return Image(media_type=media_type, data=base64.b64encode(data).decode("ascii"))
    try:
        return File(name=path.name, media_type="text/plain", content=data.decode("utf-8"))
    except UnicodeDecodeError:
        encoded = base64.b64encode(data).decode("ascii")
        return File(name=path.name, media_type=media_type, data=encoded)
