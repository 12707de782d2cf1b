"""A real answer, and a real tool call, of each vendor whose key is given.

    LIVE_ANTHROPIC_KEY=… LIVE_OPENAI_KEY=… python -m pytest tests/live --live

The key is stored as a user stores it, in a home of the test's own. It costs a few cents.
"""

import os
from pathlib import Path

import pytest

from tests.e2e.program import make_program

pytestmark = pytest.mark.live


@pytest.mark.parametrize("provider", ["anthropic", "openai", "openrouter", "moonshotai", "zai"])
async def test_a_vendors_default_model_reads_a_file_and_answers(
    provider: str, tmp_path: Path
) -> None:
    key = os.environ.get(f"LIVE_{provider.upper()}_KEY")
    if not key:
        pytest.skip(f"LIVE_{provider.upper()}_KEY is not set")
    program = make_program(tmp_path)
    (program.project / "word.txt").write_text("heron\n")
    stored = await program.run("auth", "set", provider, stdin=key)
    assert stored.code == 0, stored.err
    words = "Read word.txt with your tools and answer with the word in it alone."
    ended = await program.run(
        "run", "--model", provider, "--format", "json", "--budget", "0.50", words, timeout_s=180
    )
    assert ended.code == 0, ended.err
    assert "heron" in ended.json["text"].lower()
    shown = await program.run("replay", ended.json["session_id"], "--json")
    assert "tool.finished" in {line["kind"] for line in shown.lines}
    assert key not in ended.out + ended.err
