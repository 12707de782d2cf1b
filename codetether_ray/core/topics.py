"""Bus topics and how they match.

Topics are dotted: `agent.{id}`, `agent.{id}.events`, `task.{id}`, `swarm.{id}`, `broadcast`,
`run.{id}.retries`, `results.{key}`, `tools.{name}`. Ids that hold dots or slashes are escaped by
`segment`. A pattern matches by segment: `*` is one segment, a last `**` is one or more.
"""


def segment(text: str) -> str:
    """`text` as one topic segment: `%`, `.` and `*` are percent-encoded."""
    return text.replace("%", "%25").replace(".", "%2E").replace("*", "%2A")


def topic(*parts: str) -> str:
    """A topic of escaped segments: `topic("agent", "sub/a", "events")`."""
    return ".".join(segment(part) for part in parts)


def retries_of(run_id: str) -> str:
    """Where a run's agents tell that they ask a model again; of live events it has these alone."""
    return topic("run", run_id, "retries")


def matches(pattern: str, name: str) -> bool:
    """Whether the topic `name` is matched by `pattern`."""
    wanted, given = pattern.split("."), name.split(".")
    if wanted[-1] == "**":
        head = wanted[:-1]
        return len(given) > len(head) and _same(head, given[: len(head)])
    return len(wanted) == len(given) and _same(wanted, given)


def _same(wanted: list[str], given: list[str]) -> bool:
    return all(w in ("*", g) for w, g in zip(wanted, given, strict=True))
