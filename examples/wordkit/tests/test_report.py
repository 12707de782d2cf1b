from wordkit.report import report


def test_a_report_has_an_anchor_and_the_top_words():
    assert report("My Text", "a b a c a b", top=2) == (
        '## My Text <a id="my-text"></a>\n\n| word | count |\n| --- | --- |\n| a | 3 |\n| b | 2 |\n'
    )


def test_an_empty_text_says_so():
    assert report("Empty", "") == '## Empty <a id="empty"></a>\n\nno words\n'
