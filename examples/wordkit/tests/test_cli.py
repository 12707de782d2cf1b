import pytest

from wordkit.cli import run


def test_it_wraps_and_counts():
    assert run(["9"], "to be or not to be") == "to be or\nnot to be\n4 distinct words\n"


def test_a_width_that_is_no_number_is_refused():
    with pytest.raises(SystemExit):
        run(["wide"], "x")
