"""Text as every journal and wire format can hold it."""

MAX_RESULT_CHARS = 100_000
"""What a tool result may hold at most; tools have tighter limits of their own."""


def clean(text: str) -> str:
    """`text` with lone surrogates replaced: UTF-8 cannot say them, and providers refuse them."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def shortened(text: str, limit: int) -> str:
    """`text` without its middle, if it is longer than `limit` characters; it says so."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"
