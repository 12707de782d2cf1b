"""A report on a text's words."""


def report(title, text, top=3):
    """A Markdown report: a heading with an anchor, then the `top` most frequent words."""
    raise NotImplementedError
