import gzip
import json
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.core.events import Record, ToolFinished
from codetether_ray.core.messages import ToolResult
from codetether_ray.core.spec import Correlation
from codetether_ray.journal import lines
from codetether_ray.journal.encode import members
from codetether_ray.journal.lines import Head, LineError, Position
from codetether_ray.journal.members import load_table
from codetether_ray.journal.reader import read_records
from codetether_ray.journal.segments import run_directory
from tests.adapters.journal.streams import new_stream, small_run
from tests.contracts.journal import RUN, WHERE, note, record

_GOLDEN = Path(__file__).with_name("golden-v1.jsonl")


def _line(rec: Record, place: Position | None = None) -> bytes:
    text, _, _ = members(rec, rec.agent_seq)
    return lines.frame(place or Position(), 1, text)


@given(st.text(), st.text(min_size=1), st.floats(0, 4e9), st.booleans())
def test_a_line_is_the_records_json_with_a_frame_around_it(
    content: str, agent: str, time: float, is_error: bool
) -> None:
    clean = content.encode("utf-8", "replace").decode()
    result = ToolResult(call_id="1", name="bash", content=clean, is_error=is_error)
    where = Correlation(run_id=RUN, swarm_id="s", task_id="é")
    rec = replace(
        record(agent.encode("utf-8", "replace").decode(), ToolFinished(step=1, result=result)),
        correlation=where,
        time=time,
        seq=7,
        agent_seq=3,
    )
    raw = _line(rec, Position(7, 1000, "a" * 16))
    assert raw.endswith(b"\n")
    assert raw.count(b"\n") == 1
    data = lines.parse(raw[:-1])
    frame = {"v": 1, "off": 1000, "gen": 1, "prev": "a" * 16, "crc": data["crc"]}
    assert data == {**rec.to_json(), **frame}
    assert list(data)[:5] == ["v", "seq", "off", "gen", "prev"]
    assert list(data)[-1] == "crc"


def test_the_checksum_covers_the_bytes_before_it() -> None:
    raw = _line(note("a"))
    body, tail = raw.rsplit(b',"crc":"', 1)
    assert tail == b'%08x"}\n' % zlib.crc32(body)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: raw[:-3], "checksum"),
        (lambda raw: raw.replace(b"hi", b"ho"), "checksum is wrong"),
        (lambda raw: b"", "checksum"),
        (lambda raw: b"\x00" * len(raw), "checksum"),
    ],
)
def test_a_changed_line_is_refused(change: object, words: str) -> None:
    assert callable(change)
    with pytest.raises(LineError, match=words):
        lines.parse(change(_line(note("a"))[:-1]))


def test_a_line_of_a_later_version_is_refused_by_its_version() -> None:
    body = b'{"v":2,"seq":0'
    raw = body + b',"crc":"%08x"}' % zlib.crc32(body)
    with pytest.raises(LineError, match="version is 2"):
        lines.parse(raw)


@pytest.mark.parametrize("name", ["seq", "off", "prev"])
def test_a_line_of_another_place_is_refused(name: str) -> None:
    data = lines.parse(_line(note("a"), Position(3, 40, "b" * 16))[:-1])
    lines.check_place(data, Position(3, 40, "b" * 16))
    other = Position(3, 40, "b" * 16)._replace(**{name: 9 if name != "prev" else "c" * 16})
    with pytest.raises(LineError, match=name):
        lines.check_place(data, other)


def test_the_format_is_the_golden_files_to_the_byte() -> None:
    chunk = new_stream().add(small_run())
    assert b"".join(p for p in chunk.pieces if isinstance(p, bytes)) == _GOLDEN.read_bytes()


def test_the_golden_file_of_version_1_is_readable(tmp_path: Path) -> None:
    directory = run_directory(tmp_path, RUN)
    directory.mkdir(parents=True)
    data = _GOLDEN.read_bytes()
    name = f"20231114T221320Z-chat-events-{0:020}-{len(data):020}.jsonl"
    (directory / name).write_bytes(data)
    assert list(read_records(tmp_path, RUN)) == new_stream().add(small_run()).records


@pytest.mark.parametrize("has_index", [True, False])
def test_the_golden_compressed_file_is_readable_with_its_index_and_without(
    tmp_path: Path, has_index: bool
) -> None:
    directory = run_directory(tmp_path, RUN)
    directory.mkdir(parents=True)
    data, packed = _GOLDEN.read_bytes(), _GOLDEN.with_name("golden-v1.jsonl.gz").read_bytes()
    index = _GOLDEN.with_name("golden-v1.jsonl.gz.index").read_bytes()
    name = f"20231114T221320Z-chat-events-{0:020}-{len(data):020}.jsonl.gz"
    (directory / name).write_bytes(packed)
    if has_index:
        (directory / f"{name}.index").write_bytes(index)
    assert gzip.decompress(packed) == data
    records = new_stream().add(small_run()).records
    assert list(read_records(tmp_path, RUN)) == records
    table = load_table(directory / name, 0, len(data))
    assert len(table.offs) == 3
    assert table.to_line() == index
    found = list(read_records(tmp_path, RUN, start=table.offs[1]))
    assert 0 < len(found) < len(records)
    assert found == records[-len(found) :]


def test_the_head_of_a_line_is_what_a_json_parser_reads() -> None:
    hostile = '"agent_seq":7,"time":1,"agent":"x","kind":"y",'
    for agent in ("a", 'q"\\', hostile, "é\u2028"):
        where = replace(WHERE, session_id=hostile, task_id=agent)
        rec = replace(note(agent, hostile), agent_seq=5, correlation=where)
        raw = _line(rec, Position(7, 1000, "a" * 16))[:-1]
        data, head = lines.parse(raw), lines.read_head(raw)
        assert head == Head(*(data[name] for name in Head._fields))
        assert (head.agent, head.agent_seq) == (agent, 5)


def test_every_line_carries_the_correlation_ids() -> None:
    first, *rest = _GOLDEN.read_bytes().splitlines()
    assert json.loads(first)["kind"] == "segment.opened"
    for raw in (first, *rest):
        data = json.loads(raw)
        assert (data["run_id"], data["session_id"]) == (WHERE.run_id, WHERE.session_id)
