"""The table of commands: name, one line of help, and the module that is imported on use.

Each module holds a click command named `command`.
"""

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: where it is, and what `--help` says of it without importing it."""

    module: str
    help: str


COMMANDS = MappingProxyType(
    {
        "archive": Entry(
            "codetether_ray.cli.archive", "Runs in S3 storage: status, push, pull, query."
        ),
        "audit": Entry("codetether_ray.cli.audit", "What was done, by whom; list, query, verify."),
        "auth": Entry("codetether_ray.cli.auth", "Keep providers' keys, and tokens of an ingress."),
        "cancel": Entry("codetether_ray.cli.cancel", "Stop a run that another process drives."),
        "cleanup": Entry(
            "codetether_ray.cli.cleanup", "Remove worktrees and branches of finished runs."
        ),
        "completion": Entry("codetether_ray.cli.completion", "Print a shell's completion script."),
        "config": Entry("codetether_ray.cli.config", "Show and change settings."),
        "context": Entry("codetether_ray.cli.context", "Which Ray cluster commands use."),
        "doctor": Entry(
            "codetether_ray.cli.doctor", "Check that everything is well, and say what to do."
        ),
        "down": Entry("codetether_ray.cli.down", "End the Ray head that `up` started."),
        "forget": Entry(
            "codetether_ray.cli.forget", "Remove a run for good, here and in the archive."
        ),
        "models": Entry("codetether_ray.cli.models", "List models and their prices."),
        "okr": Entry("codetether_ray.cli.okr", "Objectives with key results that are measured."),
        "ralph": Entry(
            "codetether_ray.cli.ralph", "Work a PRD off, story by story; its state, a new one."
        ),
        "replay": Entry(
            "codetether_ray.cli.replay", "Show a run as it happened, verify it, make it a page."
        ),
        "run": Entry("codetether_ray.cli.run", "Give one agent a task, or go on with a session."),
        "runs": Entry("codetether_ray.cli.runs", "List runs of all kinds, and what can go on."),
        "send": Entry("codetether_ray.cli.send", "Say something to an agent that speaks A2A."),
        "serve": Entry(
            "codetether_ray.cli.serve", "Serve A2A and HTTP; what serves now, and its end."
        ),
        "sessions": Entry("codetether_ray.cli.sessions", "List sessions of this directory."),
        "spawn": Entry(
            "codetether_ray.cli.spawn", "Be an agent that others find and talk with, without Ray."
        ),
        "stats": Entry("codetether_ray.cli.stats", "Sum up runs: tokens, cost, tools, files."),
        "swarm": Entry(
            "codetether_ray.cli.swarm", "Split a task among agents and merge their work."
        ),
        "token": Entry(
            "codetether_ray.cli.token", "Ray's token: make it, spread it to hosts, change it."
        ),
        "top": Entry("codetether_ray.cli.top", "What is under way: runs, agents, tokens, nodes."),
        "up": Entry("codetether_ray.cli.up", "Start a Ray head that your commands share."),
        "worker": Entry("codetether_ray.cli.worker", "Take tasks from a platform and do them."),
    }
)
