import wordkit
from wordkit.slug import slugify


def test_words_are_joined_by_single_dashes():
    assert slugify("  Hello,   World! ") == "hello-world"


def test_accents_are_folded_to_ascii():
    assert slugify("Crème brûlée") == "creme-brulee"


def test_a_long_slug_ends_at_a_whole_word():
    assert slugify("alpha beta gamma", limit=12) == "alpha-beta"


def test_it_is_exported():
    assert "slugify" in wordkit.__all__
    assert wordkit.slugify is slugify
