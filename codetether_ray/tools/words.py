"""Words of models: encodable text, and the name that was probably meant."""

from collections.abc import Sequence
from difflib import get_close_matches


def nearest(word: str, names: Sequence[str]) -> str | None:
    """The name that `word` begins, or is most like; case and underscores do not count."""
    plain = {_plain(name): name for name in names}
    wanted = _plain(word)
    begun = [name for name in plain if wanted and name.startswith(wanted)]
    near = begun or get_close_matches(wanted, plain, 1, 0.5)
    return plain[near[0]] if near else None


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def clean(text: str) -> str:
    """`text` with surrogate pairs joined and lone surrogates replaced: it can be encoded."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
