"""Files given by -f."""

import base64
from pathlib import Path

import pytest

from codetether_ray.cli.attachments import message, part
from codetether_ray.core.errors import UsageError
from codetether_ray.core.messages import File, Image, Text


def test_a_picture_becomes_an_image_part(tmp_path: Path) -> None:
    file = tmp_path / "a.PNG"
    file.write_bytes(b"\x89PNG")
    assert part(file) == Image(
        media_type="image/png", data=base64.b64encode(b"\x89PNG").decode("ascii")
    )


def test_a_text_becomes_a_file_part_with_its_content(tmp_path: Path) -> None:
    file = tmp_path / "notes.weird"
    file.write_text("gr\u00fc\u00dfe")
    assert part(file) == File(name="notes.weird", content="gr\u00fc\u00dfe")


def test_what_is_no_text_is_sent_as_base64(tmp_path: Path) -> None:
    file = tmp_path / "a.pdf"
    file.write_bytes(b"%PDF\xff\xfe")
    made = part(file)
    assert isinstance(made, File)
    assert (made.media_type, made.content) == ("application/pdf", None)
    assert base64.b64decode(made.data or "") == b"%PDF\xff\xfe"


def test_attachments_come_before_the_text(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("x")
    made = message("what is this?", (file,))
    assert made.role == "user"
    assert made.parts[-1] == Text(text="what is this?")
    assert len(made.parts) == 2


def test_a_file_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot attach"):
        part(tmp_path)


def test_an_empty_message_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="empty"):
        message(" \n", ())
