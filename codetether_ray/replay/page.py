"""One self-contained page of a run: data, style and script in one file, nothing from outside.

Whatever a model or a tool wrote stays data: it lies in a JSON block in which `<`, `>` and `&` are
escaped, and the script shows it as text alone. The policy of the page lets exactly its own style
and script run, by their hashes, and nothing be loaded.
"""

import base64
import hashlib
import html
import json
import re
from importlib import resources

from codetether_ray.core.codec import JsonObject

_ESCAPED = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}
_RISKY = re.compile("[<>&\u2028\u2029\ud800-\udfff]")


def page(data: JsonObject, title: str) -> str:
    """The page of `data` (`Timeline.to_json`)."""
    style, script = _part("page.css"), _part("page.js")
    slots = {
        "title": html.escape(title),
        "policy": html.escape(_policy(style, script)),
        "style": style,
        "script": script,
        "data": embedded(data),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda slot: slots[slot[1]], _part("page.html"))


def embedded(data: JsonObject) -> str:
    """JSON that can stand inside a script element, whatever is in its texts."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return _RISKY.sub(lambda found: _escaped(found[0]), text)


def _escaped(character: str) -> str:
    return _ESCAPED.get(character) or f"\\u{ord(character):04x}"


def _policy(style: str, script: str) -> str:
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _part(name: str) -> str:
    return resources.files(__package__).joinpath("assets", name).read_text(encoding="utf-8")
