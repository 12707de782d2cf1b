"""How often words occur."""


def frequencies(text):
    """A list of (word, count), most frequent first, ties in alphabetical order."""
    counts = {}
    for word in text.split(" "):
        counts[word] = counts.get(word, 0)
    return list(counts.items())
