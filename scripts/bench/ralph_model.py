"""The model of `ralph.py`: four calls of 200 ms for each story, three of them with a tool."""

import re

from codetether_ray.testing.model_server import ModelCall, Reply, calls, say

DELAY_S = 0.2


def reply(request: ModelCall) -> Reply:
    """Write a file, read it, list, end."""
    found = re.search(r"Your story, (\S+):", request.first_user_text)
    story = found[1] if found else "?"
    step = min(request.step, 3)
    if step == 3:
        words = f"{story} is done.\nLearned: nothing new.\nSTORY_COMPLETE: {story}"
        return say(words, delay_s=DELAY_S)
    turns = (
        ("write_file", {"path": f"{story}.txt", "content": f"{story}\n" * 40}),
        ("read_file", {"path": f"{story}.txt"}),
        ("list_dir", {"path": "."}),
    )
    return calls(turns[step], delay_s=DELAY_S)
