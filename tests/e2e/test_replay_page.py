"""The page of a run in a real browser: hostile words stay words, keys and filters work."""

import asyncio
from pathlib import Path

import pytest

from codetether_ray.replay.page import page
from codetether_ray.replay.timeline import Timeline
from tests.e2e.browser import PROGRAM, browsing
from tests.unit.replay.scene import HOSTILE, hostile_run

pytestmark = pytest.mark.skipif(not PROGRAM, reason="there is no chromium here")


def written(folder: Path, *texts: str, **bounds: int) -> Path:
    timeline = Timeline(**bounds)
    for text in texts:
        for record in hostile_run(text):
            timeline.add(record, record.seq)
    file = folder / "run.html"
    file.write_bytes(page(timeline.to_json(), texts[0]).encode())
    return file


UNFOLD = """(async () => {
  for (const row of document.querySelectorAll('#list .row')) row.click();
  for (const box of document.querySelectorAll('#list details')) box.open = true;
  await new Promise((done) => setTimeout(done, 200));
  return [...document.querySelectorAll('#list pre')].map((node) => node.textContent);
})()"""


async def test_hostile_words_are_shown_and_never_obeyed(tmp_path: Path) -> None:
    file = written(tmp_path, *HOSTILE)
    async with browsing(tmp_path / "profile") as tab:
        await tab.open(file)
        title = await tab.evaluate("document.title")
        texts = await tab.evaluate(UNFOLD)
        assert set(HOSTILE) <= set(texts)
        assert await tab.evaluate("document.title") == title == HOSTILE[0]
        odd = (
            "document.querySelectorAll('#list img, #list script, main script, main b:not(#tip b)')"
        )
        assert await tab.evaluate(f"{odd}.length") == 0
        assert await tab.evaluate("document.scripts.length") == 2
        assert (tab.asked, tab.problems, tab.dialogs) == ([file.as_uri()], [], 0)


async def test_it_is_used_by_keys_alone(tmp_path: Path) -> None:
    file = written(tmp_path, "needle", *(f"run {n}" for n in range(5)))
    async with browsing(tmp_path / "profile") as tab:
        await tab.open(file)
        await tab.press("j")
        await tab.press("j")
        await tab.press("Enter")
        assert await tab.evaluate("document.querySelectorAll('.open-body').length") == 1
        rows = "[...document.querySelectorAll('#list .row')]"
        at = f"{rows}.indexOf(document.activeElement)"
        assert await tab.evaluate(at) == 1
        await tab.press("k")
        assert await tab.evaluate(at) == 0
        theme = "document.documentElement.dataset.theme"
        before = await tab.evaluate(theme)
        await tab.press("t")
        assert {before, await tab.evaluate(theme)} == {"light", "dark"}
        every = await tab.evaluate("document.querySelectorAll('#list > li').length")
        await tab.press("/")
        for letter in "needle":
            await tab.press(letter)
        for _ in range(100):
            shown = await tab.evaluate("document.querySelectorAll('#list > li').length")
            if shown < every:
                break
            await asyncio.sleep(0.05)
        assert 0 < shown < every
        assert "needle" in await tab.evaluate("document.querySelector('#list').textContent")
        await tab.press("Escape")
        assert await tab.evaluate("document.querySelectorAll('#list > li').length") == every
        assert tab.problems == []


async def test_kinds_and_agents_filter_what_happened(tmp_path: Path) -> None:
    file = written(tmp_path, "one", "two")
    async with browsing(tmp_path / "profile") as tab:
        await tab.open(file)
        kinds = (
            "[...new Set([...document.querySelectorAll('#list .kind')].map((n) => n.textContent))]"
        )
        everything = await tab.evaluate(kinds)
        assert {"model", "tool", "merge", "wait"} <= set(everything)
        buttons = "[...document.querySelectorAll('#kinds button')]"
        await tab.evaluate(f"{buttons}.find((b) => b.textContent === 'tool').click()")
        assert set(await tab.evaluate(kinds)) == set(everything) - {"tool"}
        await tab.evaluate("document.querySelectorAll('#names button')[1].click()")
        who = "[...new Set([...document.querySelectorAll('#list .who')].map((n) => n.textContent))]"
        assert await tab.evaluate(who) == ["sub/one"]


async def test_ten_thousand_records_are_drawn_in_parts(tmp_path: Path) -> None:
    file = written(tmp_path, *(f"run {n}" for n in range(700)))
    async with browsing(tmp_path / "profile") as tab:
        await tab.open(file)
        assert int(await tab.evaluate("document.querySelector('#count').textContent")) > 6000
        assert await tab.evaluate("document.querySelectorAll('#list > li').length") <= 900
        assert tab.problems == []


async def test_how_it_ended_and_what_failed_stand_above_everything(tmp_path: Path) -> None:
    file = written(tmp_path, "needle")
    async with browsing(tmp_path / "profile") as tab:
        await tab.open(file)
        assert await tab.evaluate("document.querySelector('#error').textContent") == "needle"
        failed = "[...document.querySelectorAll('#failed button')]"
        words = await tab.evaluate(f"{failed}.map((button) => button.textContent)")
        assert words == ["sub/needlethe turn ends: failed: needle", "runneedle: unmerged: needle"]
        await tab.evaluate("document.querySelectorAll('#kinds button').forEach((b) => b.click())")
        await tab.evaluate(f"{failed}[1].click()")
        opened = "document.querySelector('.open-body').parentNode.querySelector('.kind')"
        assert await tab.evaluate(f"{opened}.textContent") == "merge"
        assert await tab.evaluate("document.querySelectorAll('#names button.bad').length") == 1
        assert tab.problems == []


async def test_a_page_that_is_full_says_what_is_not_on_it(tmp_path: Path) -> None:
    file = written(tmp_path, *("long " * 100 + str(n) for n in range(50)), room=20_000, most=100)
    async with browsing(tmp_path / "profile") as tab:
        await tab.open(file)
        notes = await tab.evaluate("document.querySelector('#notes').textContent")
        assert "are cut to their beginnings" in notes
        assert "replay --from" in notes
        assert tab.problems == []
