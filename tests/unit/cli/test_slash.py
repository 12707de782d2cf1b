import pytest

from codetether_ray.cli.slash import Slash, parse_slash
from codetether_ray.core.errors import UsageError


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("/go make it fast", Slash(verb="go", text="make it fast")),
        ("/team 4 make it fast", Slash(verb="go", text="make it fast", count=4)),
        (" /autochat 2\nfix\nthis ", Slash(verb="autochat", text="fix\nthis", count=2)),
        ("/autochat 3d printing", Slash(verb="autochat", text="3d printing")),
        ("/swarm 5 things", Slash(verb="swarm", text="5 things")),
        ("/ralph", Slash(verb="ralph", text="")),
        ("/ralph docs/prd.json", Slash(verb="ralph", text="docs/prd.json")),
    ],
)
def test_a_command_has_its_count_and_its_text(message: str, found: Slash) -> None:
    assert parse_slash(message) == found


@pytest.mark.parametrize("message", ["/autochatty hello", "/gone", "go 3 x", "/etc/hosts", "/Go x"])
def test_what_only_looks_like_a_command_is_none(message: str) -> None:
    assert parse_slash(message) is None


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("/go", "/go needs a task"),
        ("/team  ", "/team needs a task"),
        ("/swarm", "/swarm needs a task"),
        ("/go 1 x", "2 to 8 agents"),
        ("/autochat 404 pages are ugly", "/autochat 3 404 pages"),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused_in_a_sentence(message: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_slash(message)
