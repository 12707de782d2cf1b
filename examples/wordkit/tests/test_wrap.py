import wordkit
from wordkit.wrap import wrap


def test_words_stay_whole():
    assert wrap("the quick brown fox", 10) == ["the quick", "brown fox"]


def test_a_word_longer_than_the_line_is_cut():
    assert wrap("a abcdefghij b", 4) == ["a", "abcd", "efgh", "ij b"]


def test_nothing_gives_no_lines():
    assert wrap("   ", 5) == []


def test_it_is_exported():
    assert "wrap" in wordkit.__all__
    assert wordkit.wrap is wrap
