import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.core.masking import PLACEHOLDER, Masker, StreamMasker, looks_secret

_secrets = st.text(st.characters(exclude_categories=("Cs",)), min_size=6, max_size=60).filter(
    lambda text: len(text.strip()) >= 6 and "[mask" not in text and len(text.splitlines()) == 1
)
_texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=80)
_body = "".join(random.Random(7).choices("ABCDEFGHIJabcdefghij0123456789", k=64))
_PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\n"
    + f"{_body}\n" * 12
    + "QmFzZTY0==\n-----END RSA PRIVATE KEY-----\n"
)

KEYS = {
    "anthropic": "sk-ant-api03-" + "aB3_-" * 12,
    "openai": "sk-" + "aB3d" * 12,
    "openai project": "sk-proj-" + "aB3_" * 12,
    "openrouter": "sk-or-v1-" + "0af9" * 16,
    "github": "ghp_" + "aB3d" * 9,
    "github fine-grained": "github_pat_" + "aB3d_" * 12,
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "slack": "xoxb-123456789012-abcdefABCDEF",
    "google": "AIza" + "aB3d-" * 7,
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.dBjftJeZ4CVPmB92K27u",
    "vault": "hvs." + "CAESIaB3" * 5,
    "stripe": "sk_live_" + "aB3d" * 6,
    "gitlab": "glpat-" + "aB3d-" * 5,
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
@pytest.mark.parametrize("frame", ["{}", "KEY={}\n", '"{}",', "({})", "x: {} y", "https://h/?k={}"])
def test_a_value_shaped_like_a_known_key_is_masked(key: str, frame: str) -> None:
    masked = Masker()(frame.format(key))
    assert key not in masked
    assert masked == frame.format(PLACEHOLDER)


def test_bearer_tokens_and_cloud_secrets_are_masked_where_they_are_named() -> None:
    mask = Masker()
    assert (
        mask("Authorization: Bearer abcDEF123456789012") == f"Authorization: Bearer {PLACEHOLDER}"
    )
    assert mask('{"authorization": "Bearer abcDEF123456789012"}').count(PLACEHOLDER) == 1
    assert mask("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEX").endswith(PLACEHOLDER)
    assert mask("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEX").endswith(PLACEHOLDER)


@pytest.mark.parametrize(
    "text",
    [
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "id 550e8400-e29b-41d4-a716-446655440000, ses_0mgqd5xq5f_1a2b3c4d",
        "a task-list-with-many-words-and-2-numbers, .sk-cube-grid-with-1-and-more-words",
        'headers = {"Authorization": f"Bearer {self.settings.api_key}"}',
        "Authorization: Bearer $OPENROUTER_API_KEY or <your-token-goes-here>",
        "the header `-----BEGIN PRIVATE KEY-----` opens a file; see the documentation of openssl",
        "postgres://user:password@localhost/db",
        "aGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8gd29ybGQ=",
        "xoxo, ghost_writer_of_many_books, hvac.readthedocs.io/en/stable/usage",
    ],
)
def test_hashes_ids_and_code_stay_as_they_are(text: str) -> None:
    assert Masker()(text) == text
    assert not looks_secret(text)


def _numbered(text: str) -> str:
    return "".join(f"{n:>5} | {line}\n" for n, line in enumerate(text.splitlines(), 1))


@pytest.mark.parametrize(
    "shown",
    [
        _PEM,
        _PEM.replace("\n", "\\n"),
        _PEM.replace("\n", "\r\n"),
        _numbered(_PEM),
        "".join(f"+{line}\n" for line in _PEM.splitlines()),
        _PEM[: len(_PEM) // 2],
    ],
    ids=["file", "json", "crlf", "numbered", "diff", "cut"],
)
def test_a_private_key_is_masked_however_it_is_printed(shown: str) -> None:
    masked = Masker()("before\n" + shown + "\nafter\n")
    assert _body[:20] not in masked
    assert masked.startswith("before\n")
    assert masked.endswith("after\n")


@given(_secrets, _texts, _texts)
def test_a_known_value_never_survives(secret: str, before: str, after: str) -> None:
    assert secret.strip() not in Masker([secret])(before + secret + after)


@given(st.lists(_secrets, min_size=1, max_size=3), _texts, st.data())
def test_a_known_value_never_survives_wherever_a_stream_is_cut(
    secrets: list[str], noise: str, data: st.DataObject
) -> None:
    parts = data.draw(st.lists(st.sampled_from([*secrets, noise, "\n", " "]), max_size=12))
    text = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    mask = Masker(secrets)
    stream = StreamMasker(mask)
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    shown = "".join(map(stream.feed, pieces)) + stream.flush()
    for secret in secrets:
        assert secret.strip() not in shown
    assert (shown == text) == (mask(text) == text)


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_keys_and_private_keys_are_masked_in_a_stream_cut_anywhere(size: int) -> None:
    text = "".join(f"line {name}: {key}\n" for name, key in KEYS.items()) + _PEM + "end\n"
    stream = StreamMasker(Masker())
    shown = "".join(stream.feed(text[i : i + size]) for i in range(0, len(text), size))
    shown += stream.flush()
    assert not [key for key in KEYS.values() if key in shown]
    assert _body[:20] not in shown
    assert shown.endswith("end\n")


def test_a_stream_without_line_ends_is_shown_in_time_and_holds_little() -> None:
    secret = "correct horse battery staple"
    stream = StreamMasker(Masker([secret]))
    text = ("x" * 990 + secret) * 200
    shown, most_held = "", 0
    for i in range(0, len(text), 777):
        shown += stream.feed(text[i : i + 777])
        most_held = max(most_held, i + 777 - len(shown) - 18 * shown.count(PLACEHOLDER))
    shown += stream.flush()
    assert secret not in shown
    assert shown.count(PLACEHOLDER) == 200
    assert most_held < 40_000


def test_complete_lines_of_a_stream_are_shown_at_once() -> None:
    stream = StreamMasker(Masker(["swordfish"]))
    assert stream.feed("one\ntwo") == "one\n"
    assert stream.feed(" swordf") == ""
    assert stream.feed("ish\nthree") == f"two {PLACEHOLDER}\n"
    assert stream.flush() == "three"


def test_a_key_that_never_closes_does_not_hold_a_stream_for_ever() -> None:
    stream = StreamMasker(Masker())
    shown = stream.feed("-----BEGIN PRIVATE KEY-----\n")
    for _ in range(3000):
        shown += stream.feed("an ordinary line of a document about keys\n")
    assert len(shown) > 50_000


def test_a_long_text_is_masked_in_linear_time() -> None:
    hostile = "-----BEGIN PRIVATE KEY-----" + "+" * 200_000 + "-" * 200_000 + "eyJ" * 50_000
    assert len(Masker(["swordfish"])(hostile)) <= len(hostile)


def test_other_spellings_of_a_known_value_are_masked_too() -> None:
    mask = Masker(['pa"ss/wörd+1'])
    assert PLACEHOLDER in mask('{"k": "pa\\"ss/w\\u00f6rd+1"}')
    assert PLACEHOLDER in mask("https://h/?k=pa%22ss%2Fw%C3%B6rd%2B1")


def test_a_value_of_several_lines_is_masked_in_a_stream() -> None:
    secret = "ab\ncd\nef\ngh"
    stream = StreamMasker(Masker([secret]))
    text = f"one\n{secret}\ntwo\n"
    shown = "".join(map(stream.feed, text)) + stream.flush()
    assert shown == f"one\n{PLACEHOLDER}\ntwo\n"


def test_values_too_short_to_be_secrets_are_left_alone() -> None:
    assert Masker(["", "abc"])("abc abc") == "abc abc"
