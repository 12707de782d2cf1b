from wordkit.count import frequencies


def test_words_are_counted_without_case_or_punctuation():
    assert frequencies("One two, TWO. one two") == [("two", 3), ("one", 2)]


def test_ties_are_alphabetical():
    assert frequencies("b a") == [("a", 1), ("b", 1)]


def test_an_empty_text_has_no_words():
    assert frequencies(" \n ") == []
