import base64
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codetether_ray.testing.leaks import find_leaks

_MARK = 'sk-"marker"/+é-0123'

_SPELLINGS: dict[str, Callable[[str], bytes]] = {
    "plain": lambda m: m.encode(),
    "json": lambda m: json.dumps({"a": m}).encode(),
    "json in json": lambda m: json.dumps(json.dumps(m)).encode(),
    "url": lambda m: quote(m, safe="").encode(),
    "base64": lambda m: base64.b64encode(m.encode()),
    "hex": lambda m: m.encode().hex().encode(),
    "utf-16": lambda m: m.encode("utf-16"),
    "gzip": lambda m: gzip.compress(m.encode()),
}


@pytest.mark.parametrize("spelling", _SPELLINGS)
def test_each_spelling_is_found_in_a_binary_file(tmp_path: Path, spelling: str) -> None:
    hidden = _SPELLINGS[spelling](_MARK)
    around = b"" if spelling == "gzip" else b"\x00\xff" * 50
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "x.bin").write_bytes(around + hidden + around)
    (tmp_path / "innocent").write_bytes(around + hidden[: len(hidden) // 2])
    assert find_leaks(_MARK, [tmp_path]) == [tmp_path / "deep" / "x.bin"]


@given(st.binary(max_size=40), st.binary(max_size=40), st.booleans())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_base64_of_any_text_around_the_marker_is_found(
    tmp_path: Path, before: bytes, after: bytes, url_safe: bool
) -> None:
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    path = tmp_path / "f"
    path.write_bytes(encode(before + _MARK.encode() + after))
    assert find_leaks(_MARK, [path]) == [path]
    path.write_bytes(encode(before + _MARK.encode()[1:-1] + after))
    assert find_leaks(_MARK, [path]) == []


def test_a_marker_across_two_pieces_of_a_big_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(b"x" * ((1 << 20) - 5) + _MARK.encode() + b"y" * 100)
    assert find_leaks(_MARK, [tmp_path]) == [path]


def test_a_file_name_counts_and_pipes_and_links_are_not_read(tmp_path: Path) -> None:
    named = tmp_path / "log-marker-12345.txt"
    named.touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert find_leaks("marker-12345", [tmp_path, tmp_path / "not there"]) == [named]


def test_a_marker_that_could_occur_by_chance_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="8 characters"):
        find_leaks("abc", [tmp_path])
