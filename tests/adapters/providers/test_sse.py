"""Server-sent events, however the bytes are cut."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.providers.sse import SseEvent, SseParser


def _parse(chunks: list[bytes]) -> list[SseEvent]:
    parser = SseParser()
    found = [event for chunk in chunks for event in parser.feed(chunk)]
    return [*found, *parser.close()]


def _cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({p % (len(data) + 1) for p in places} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(ends)]


_TEXT = st.text(alphabet=st.characters(exclude_characters="\r\n", exclude_categories=("Cs",)))
_LINE = st.one_of(
    st.builds("data: {}".format, _TEXT),
    st.builds("data:{}".format, _TEXT),
    st.builds("event: {}".format, _TEXT),
    st.builds(": {}".format, _TEXT),
    st.just("retry: 10"),
    st.just("data"),
    st.just(""),
)


@given(
    st.lists(st.tuples(_LINE, st.sampled_from(["\n", "\r\n", "\r"]))),
    st.lists(st.integers(0, 10_000)),
    st.booleans(),
)
def test_any_chunking_gives_the_same_events(
    lines: list[tuple[str, str]], places: list[int], has_bom: bool
) -> None:
    text = ("\ufeff" if has_bom else "") + "".join(line + end for line, end in lines)
    data = text.encode()
    assert _parse(_cut(data, places)) == _parse([data])
    assert _parse([bytes([byte]) for byte in data]) == _parse([data])


@given(st.lists(st.lists(_TEXT, min_size=1), min_size=1), st.sampled_from(["\n", "\r\n", "\r"]))
def test_what_was_sent_is_what_is_read(events: list[list[str]], end: str) -> None:
    sent = "".join(
        "".join(f"data: {line}{end}" for line in lines) + end for lines in events
    ).encode()
    assert _parse([sent]) == [SseEvent("message", "\n".join(lines)) for lines in events]


def test_comments_names_and_several_data_lines_are_understood() -> None:
    sent = b"\xef\xbb\xbf: hello\n\nevent: ping\ndata: a\ndata:b\nid: 7\n\ndata: \xc3\xa9\n\n"
    assert _parse([sent]) == [SseEvent("ping", "a\nb", "7"), SseEvent("message", "é")]


def test_a_last_event_without_its_blank_line_is_given_out_at_the_end() -> None:
    assert _parse([b"data: [DONE]"]) == [SseEvent("message", "[DONE]")]
