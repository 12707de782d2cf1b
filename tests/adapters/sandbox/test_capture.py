from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.sandbox.capture import Capture


def _fed(data: bytes, limit: int, size: int) -> Capture:
    capture = Capture(limit)
    for i in range(0, len(data), size):
        capture.feed(data[i : i + size])
    capture.close()
    return capture


@given(st.text(), st.integers(1, 50))
def test_what_fits_is_kept_whole(text: str, size: int) -> None:
    data = text.encode()
    assert _fed(data, len(data) + 1, size).text() == text


@given(st.text("aé€😀", min_size=30, max_size=200), st.integers(0, 40), st.integers(1, 50))
def test_a_cut_in_the_middle_is_at_character_boundaries_and_says_the_true_size(
    text: str, limit: int, size: int
) -> None:
    data = text.encode()
    if len(data) <= limit:
        return
    capture = _fed(data, limit, size)
    assert capture.is_truncated
    head, _, rest = capture.text().partition("\n[… ")
    note, _, tail = rest.partition(" …]\n")
    assert "�" not in head + tail
    assert text.startswith(head)
    assert text.endswith(tail)
    missing = len(data) - len(head.encode()) - len(tail.encode())
    assert note == f"{missing:,} of {len(data):,} bytes of output left out"
    assert limit - 6 <= len(head.encode()) + len(tail.encode()) <= limit


@given(st.text("aé€😀", max_size=60), st.integers(1, 5))
def test_text_is_passed_on_cut_between_characters(text: str, size: int) -> None:
    pieces: list[str] = []
    capture = Capture(10, pieces.append)
    data = text.encode()
    for i in range(0, len(data), size):
        capture.feed(data[i : i + size])
    capture.close()
    assert "".join(pieces) == text
    assert all(pieces)


def test_a_flood_is_held_in_bounded_memory() -> None:
    capture = Capture(1000)
    for _ in range(3000):
        capture.feed(b"x" * 4096)
    assert capture.total == 3000 * 4096
    assert len(capture._head) + len(capture._tail) < 100_000
    assert len(capture.text()) < 1100


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert _fed(b"a\xffb", 10, 1).text() == "a�b"
