"""What the commits of a run say of themselves, so that one that landed is known again."""

from codetether_ray.ralph.options import RalphOptions
from codetether_ray.ralph.prd import Story

RUN, STORY = "Ralph-Run", "Story-Id"
_SUBJECT = 100


def subject(story: Story) -> str:
    """`feat(us-001): title`."""
    line = f"feat({story.id.lower()}): {' '.join(story.title.split())}"
    return line if len(line) <= _SUBJECT else f"{line[: _SUBJECT - 1]}…"


def story_message(story: Story, options: RalphOptions) -> str:
    """The message of a story's one commit."""
    correlation = options.template.correlation
    lines = [f"{RUN}: {options.run_id}", f"{STORY}: {_line(story.id)}"]
    if correlation.okr_id:
        lines.append(f"Okr-Id: {correlation.okr_id}")
    if correlation.relay_id:
        lines.append(f"Relay-Id: {correlation.relay_id}")
    return f"{subject(story)}\n\n" + "\n".join(lines) + "\n"


def story_of(message: str, run_id: str) -> str:
    """The story that a commit of this run landed; empty for other commits."""
    found: dict[str, str] = {}
    for line in message.splitlines():
        name, colon, value = line.partition(": ")
        if colon and name in (RUN, STORY):
            found[name] = value.strip()
    return found.get(STORY, "") if found.get(RUN) == run_id else ""


def _line(text: str) -> str:
    return " ".join(text.split())
