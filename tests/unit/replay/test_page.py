"""The page of a run holds whatever anybody wrote as data, and nothing of it as markup."""

import hashlib
import json
import re
from base64 import b64encode
from html.parser import HTMLParser

import pytest

from codetether_ray.replay.page import embedded, page
from codetether_ray.replay.shelf import MOST
from codetether_ray.replay.timeline import Timeline
from tests.unit.replay.scene import HOSTILE, hostile_run


def made(text: str) -> str:
    timeline = Timeline()
    for record in hostile_run(text):
        timeline.add(record, record.seq * 100)
    return page(timeline.to_json(), text)


class Elements(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[int, str] = {}
        self._at = -1
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._at = len(self.found) - 1

    def handle_endtag(self, tag: str) -> None:
        self._at = -1

    def handle_data(self, data: str) -> None:
        self.texts[self._at] = self.texts.get(self._at, "") + data

    def inside(self, tag: str, number: int = 0) -> str:
        places = [i for i, (name, _) in enumerate(self.found) if name == tag]
        return self.texts.get(places[number], "")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_add_no_element_and_no_attribute_to_the_page(text: str) -> None:
    plain, hostile = Elements(made("harmless")), Elements(made(text))
    assert [tag for tag, _ in hostile.found] == [tag for tag, _ in plain.found]
    assert [sorted(a) for _, a in hostile.found] == [sorted(a) for _, a in plain.found]
    assert hostile.inside("script", 1) == plain.inside("script", 1)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_come_back_from_the_data_as_they_were(text: str) -> None:
    elements = Elements(made(text))
    data = json.loads(elements.inside("script", 0))
    assert data["run"]["title"] == text
    assert any(lane["path"] == f"sub/{text}" for lane in data["lanes"])
    outputs = [d[1] for item in data["items"] for d in item["d"] if d[0] == "output"]
    assert outputs == [text]


def test_a_lone_surrogate_does_not_break_the_page() -> None:
    assert json.loads(embedded({"a": "\ud800"}))["a"] == "\ud800"
    embedded({"a": "\ud800"}).encode()


def test_the_page_refers_to_nothing_outside_of_it() -> None:
    text = made("harmless")
    elements = Elements(text)
    assert not any({"src", "href", "action", "data", "poster"} & set(a) for _, a in elements.found)
    assert {tag for tag, _ in elements.found}.isdisjoint(
        {"link", "iframe", "object", "img", "base"}
    )
    assert not re.search(r"https?:|//[a-z]|@import|url\(|fetch\(|XMLHttp|innerHTML|eval\(", text)
    assert not any(name.startswith("on") for _, a in elements.found for name in a)


def test_its_policy_lets_only_its_own_style_and_script_run() -> None:
    elements = Elements(made("harmless"))
    policy = next(
        str(a["content"])
        for _, a in elements.found
        if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; base-uri 'none'; form-action 'none'; ")
    for name, tag, number in (("style-src", "style", 0), ("script-src", "script", 1)):
        digest = b64encode(hashlib.sha256(elements.inside(tag, number).encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_spans_have_the_times_tokens_and_cost_of_their_records() -> None:
    timeline = Timeline()
    for record in hostile_run("x"):
        timeline.add(record, record.seq * 100)
    data = timeline.to_json()
    items, lanes = data["items"], data["lanes"]
    assert isinstance(items, list)
    assert isinstance(lanes, list)
    by_kind = {(i["k"], i["s"]): i for i in items if isinstance(i, dict)}
    model, tool, wait = by_kind["model", 0.5], by_kind["tool", 1.0], by_kind["wait", 0.2]
    assert (model["e"], model["u"], model["c"], model["x"]) == (1.0, [100, 10, 40], 0.25, "ok")
    assert (tool["e"], tool["x"], tool["q"], tool["o"]) == (2.0, "error", 8, 800)
    assert wait["e"] == 0.4
    failed = by_kind["model", 2.0]
    assert (failed["e"], failed["x"]) == (2.5, "error")
    lane = lanes[1]
    assert isinstance(lane, dict)
    assert (lane["calls"], lane["tools"], lane["prompt"], lane["cost"]) == (2, 1, 100, 0.25)


def test_what_never_ended_is_open_at_the_end_of_the_run() -> None:
    timeline = Timeline()
    for record in hostile_run("x")[:9]:
        timeline.add(record, 0)
    items = timeline.to_json()["items"]
    assert isinstance(items, list)
    (tool,) = [i for i in items if isinstance(i, dict) and i["k"] == "tool"]
    assert tool["x"] == "open"


def test_a_very_long_text_is_cut_and_says_so() -> None:
    text = made("y" * (MOST + 5))
    assert "… 5 more characters" in text


def test_a_page_grows_with_its_records_by_less_than_a_kilobyte_each() -> None:
    timeline = Timeline()
    for number in range(100):
        for record in hostile_run(f"run {number}"):
            timeline.add(record, record.seq)
    text = page(timeline.to_json(), "many")
    assert len(text) < 1_500_000
