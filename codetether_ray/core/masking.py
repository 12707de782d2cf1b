"""Hiding secrets in text: values we know, and values shaped like keys that we know of.

`Masker` is a function from text to text; `StreamMasker` does the same for text that comes in
pieces, and holds back what could still become a secret. Hashes, ids and ordinary words stay.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from urllib.parse import quote

PLACEHOLDER = "[masked]"

_SHORTEST = 6  # characters; a shorter "secret" would blot out ordinary words
_LONGEST_LINE = 8192  # characters of one line that are held back in a stream
_LONGEST_PEM = 65536  # characters held back while a private key is open

_EDGE = r"(?<![A-Za-z0-9_-])"
_TOKEN = r"(?=[A-Za-z._~+/-]*[0-9])[A-Za-z0-9._~+/=-]{16,}"  # has a digit: no name in code
_QUOTED = r"[\"']?\s*[=:]\s*[\"']?"
_PEM_OPEN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PEM_CLOSE = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
# Between the lines of a key: line breaks, also escaped, quotes, line numbers, marks of a diff.
_PEM_GAP = r"(?:\s|\\[nr]|[\"'+>,|:-]|\b\d{1,6}\b)++"
_PEM_LINE = r"(?:Proc-Type:[^\n\\]*+|DEK-Info:[^\n\\]*+|[A-Za-z0-9+/=]{16,}+)"
_PEM_LAST = r"[A-Za-z0-9+/=]{1,80}+"
_PEM = (
    rf"{_PEM_OPEN.pattern}(?:{_PEM_GAP}{_PEM_LINE})+"
    rf"(?:(?:{_PEM_GAP}{_PEM_LAST})?{_PEM_GAP}{_PEM_CLOSE.pattern.removeprefix('-----')})?"
)
_AWS = rf"(?i)aws_(?:secret_access_key|session_token){_QUOTED}([A-Za-z0-9/+=]{{20,}})"

# A word that must be there (so that most texts cost one search each), and the shape around it.
# A group, where there is one, is the secret part. A shape is compiled when its word is seen, which
# `re` remembers: all of them take 10 ms.
_SHAPES: tuple[tuple[str, str], ...] = (
    ("sk-", _EDGE + r"sk-(?:ant|or|proj|svcacct|admin)-[A-Za-z0-9_-]{16,}"),
    ("sk-", _EDGE + r"sk-(?=[A-Za-z]*[0-9])[A-Za-z0-9]{20,}[A-Za-z0-9_-]*"),
    ("k_", _EDGE + r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),  # Stripe
    ("gh", _EDGE + r"gh[pousr]_[A-Za-z0-9]{20,}"),
    ("github_pat_", _EDGE + r"github_pat_[A-Za-z0-9_]{20,}"),
    ("glpat-", _EDGE + r"glpat-[A-Za-z0-9_-]{20,}"),
    ("IA", _EDGE + r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("ecret_access_key", _AWS),
    ("SECRET_ACCESS_KEY", _AWS),
    ("SESSION_TOKEN", _AWS),
    ("xox", _EDGE + r"xox[abeoprs]-[A-Za-z0-9-]{10,}"),  # Slack
    ("xapp-", _EDGE + r"xapp-[A-Za-z0-9-]{10,}"),
    ("AIza", _EDGE + r"AIza[A-Za-z0-9_-]{35}"),  # Google
    ("ya29.", _EDGE + r"ya29\.[A-Za-z0-9_-]{20,}"),
    ("hf_", _EDGE + r"hf_[A-Za-z0-9]{30,}"),
    ("gsk_", _EDGE + r"gsk_[A-Za-z0-9]{30,}"),
    ("xai-", _EDGE + r"xai-[A-Za-z0-9]{40,}"),
    ("npm_", _EDGE + r"npm_[A-Za-z0-9]{30,}"),
    ("pypi-", _EDGE + r"pypi-[A-Za-z0-9_-]{50,}"),
    ("hv", _EDGE + r"hv[sbr]\.[A-Za-z0-9_-]{20,}"),  # Vault
    ("eyJ", _EDGE + r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"),
    ("ctr_", _EDGE + r"ctr_(?:server|token)_[A-Za-z0-9_-]{40,}"),  # an ingress'
    ("uthorization", rf"(?i)authorization{_QUOTED}(?:bearer|basic|token)\s+({_TOKEN})"),
    ("-api-key", rf"(?i)x-api-key{_QUOTED}({_TOKEN})"),
    ("PRIVATE KEY", _PEM),
)

Span = tuple[int, int]


class Masker:
    """Replaces secrets by a placeholder. No known value of six or more characters survives."""

    def __init__(self, known: Iterable[str] = (), *, with_shapes: bool = True) -> None:
        """Mask `known` values and, unless told otherwise, whatever is shaped like a key."""
        self._shapes = _SHAPES if with_shapes else ()
        values = {form for value in known for form in _forms(value)}
        longest_first = sorted(values, key=lambda value: (-len(value), value))
        self._known = re.compile("|".join(map(re.escape, longest_first))) if values else None
        self.longest = max(map(len, values), default=0)
        """Length of the longest known value, in characters."""
        self.longest_over_lines = max((len(v) for v in values if _has_line_end(v)), default=0)
        """The same of values that hold a line end."""

    def __call__(self, text: str) -> str:
        """`text` without secrets."""
        return _replace(text, self.spans(text))

    def spans(self, text: str) -> list[Span]:
        """Where secrets are in `text`: in order, apart from each other."""
        found = [] if self._known is None else [m.span() for m in self._known.finditer(text)]
        for needle, shape in self._shapes:
            if needle in text:
                pattern = re.compile(shape)
                found += [m.span(pattern.groups) for m in pattern.finditer(text)]
        return _merged(found)


def prepare() -> None:
    """Compile all shapes now: for who forks processes that will need them."""
    for _, shape in _SHAPES:
        re.compile(shape)


def looks_secret(value: str) -> bool:
    """Whether `value` holds something shaped like a key."""
    return any(needle in value and re.search(shape, value) for needle, shape in _SHAPES)


def _has_line_end(value: str) -> bool:
    return "\n" in value or "\r" in value


def _forms(value: str) -> Iterable[str]:
    """The spellings in which a value may turn up."""
    for line in (value, *value.splitlines()):
        stripped = line.strip()
        if len(stripped) >= _SHORTEST and stripped not in PLACEHOLDER:
            yield stripped
            yield quote(stripped, safe="")
            yield json.dumps(stripped)[1:-1]


def _merged(spans: list[Span]) -> list[Span]:
    """The same ground in order, overlapping spans joined."""
    if len(spans) < 2:
        return spans
    spans.sort()
    joined = [spans[0]]
    for start, end in spans[1:]:
        if start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _replace(text: str, spans: list[Span]) -> str:
    pieces, position = [], 0
    for start, end in spans:
        pieces += [text[position:start], PLACEHOLDER]
        position = end
    return "".join([*pieces, text[position:]]) if spans else text


class StreamMasker:
    """Masks text that comes in pieces, wherever the pieces are cut.

    A line is given out when it is complete, or very long; a private key when it has ended. With a
    function that is no `Masker` each line is masked on its own.
    """

    def __init__(self, mask: Callable[[str], str]) -> None:
        self._mask = mask
        self._masker = mask if isinstance(mask, Masker) else None
        self._held = ""

    def feed(self, text: str) -> str:
        """Take the next piece; what can be shown by now."""
        self._held += text
        cut = self._cut()
        if cut == 0:
            return ""
        if self._masker is None:
            shown, self._held = self._held[:cut], self._held[cut:]
            return self._mask(shown)
        spans = self._masker.spans(self._held)
        cut = _before(spans, cut) if len(self._held) < 2 * _LONGEST_PEM else len(self._held)
        shown, self._held = self._held[:cut], self._held[cut:]
        return _replace(shown, [span for span in spans if span[1] <= cut])

    def flush(self) -> str:
        """The rest, at the end of the stream."""
        rest, self._held = self._held, ""
        return self._mask(rest) if rest else ""

    def _cut(self) -> int:
        """Up to where no secret can be that is not yet complete."""
        held = self._held
        cut = max(held.rfind("\n"), held.rfind("\r")) + 1
        longest = self._masker.longest_over_lines if self._masker else 0
        if len(held) - cut > _LONGEST_LINE:
            cut = _word_start(held, len(held) - _LONGEST_LINE // 2)
            longest = self._masker.longest if self._masker else 0
        cut = min(cut, max(0, len(held) - longest + 1))
        opened = [m.start() for m in _PEM_OPEN.finditer(held)]
        if opened and not _PEM_CLOSE.search(held, opened[-1]):
            is_key = len(held) - opened[-1] <= _LONGEST_PEM
            cut = min(cut, opened[-1]) if is_key else cut
        return cut


def _word_start(text: str, near: int) -> int:
    """The last start of a word at or before `near`; `near` where the word is far too long."""
    start = max(text.rfind(" ", 0, near), text.rfind("\n", 0, near)) + 1
    return start if near - start < _LONGEST_LINE // 2 else near


def _before(spans: list[Span], cut: int) -> int:
    """`cut`, or the start of the span that it would divide."""
    at = bisect_right(spans, (cut, -1)) - 1
    if at >= 0 and spans[at][0] < cut < spans[at][1]:
        return spans[at][0]
    return cut
