"""`codetether send`: a message to an agent that speaks A2A, and what comes of it."""

import asyncio
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codetether_ray.cli import exit_codes, options
from codetether_ray.cli.examples import examples

if TYPE_CHECKING:
    from codetether_ray.cli.send_talk import Act, Wanted

TOKEN = "CODETETHER_TOKEN"
_TRANSPORTS = {"jsonrpc": "JSONRPC", "rest": "HTTP+JSON", "grpc": "GRPC"}


@click.command(
    "send",
    epilog=examples(
        'CODETETHER_TOKEN=… codetether send http://127.0.0.1:4096 "why do the tests fail?"',
        'codetether send https://agent.example.com "and now mend it" --context 0c5d…',
        'codetether send $URL "spaces" --task 7f3a…   # answers its question',
        "codetether send $URL --task 7f3a… --get --json",
        "codetether send $URL --task 7f3a… --cancel",
        "codetether send $URL --card",
    ),
)
@click.argument("url")
@click.argument("message", default="")
@click.option("--task", metavar="ID", help="Say it in this task: an answer to its question.")
@click.option("--context", metavar="ID", help="Go on with this conversation.")
@click.option(
    "--stream/--no-stream",
    "streams",
    default=True,
    show_default=True,
    help="Show the answer as it comes, where the agent can; or at its end.",
)
@click.option("--no-wait", is_flag=True, help="Print the task's id, and leave it going.")
@click.option("--get", "gets", is_flag=True, help="Show how far the task is.")
@click.option("--cancel", "cancels", is_flag=True, help="Have the task canceled.")
@click.option("--card", "shows_card", is_flag=True, help="Show the agent's card.")
@click.option(
    "--transport",
    type=click.Choice(list(_TRANSPORTS)),
    help="Use this one.  [default: the first of these that the agent has]",
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Holds the token, and is readable by you alone.  [default: CODETETHER_TOKEN, the file of "
    "CODETETHER_PEER_TOKENS, what `codetether context use URL` stored]",
)
@click.option(
    "--max-time", type=options.SPAN, metavar="TIME",
    help="Cancel the task after this time, with exit code 124.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(url: str, message: str, **given: Any) -> int:
    """Send MESSAGE (`-` reads it from stdin) to the agent at URL, which speaks A2A 1.0 or 0.3.

    What it says goes to stdout, its state to stderr. If it asks something, you are asked on a
    terminal; elsewhere the command that answers is printed, with exit code 3. Ctrl-C has the task
    canceled; a second one does not wait for that. What an agent says is not to be trusted.
    """
    wanted = _wanted(url, message, given)
    return asyncio.run(_send(wanted, given["max_time"]))


def _wanted(url: str, message: str, given: dict[str, Any]) -> "Wanted":
    """What was asked for.

    Raises:
        click.UsageError: the options contradict each other.
    """
    from codetether_ray.a2a.peers import normal_url
    from codetether_ray.cli.send_talk import Wanted

    where = normal_url(url)
    if not where:
        raise click.UsageError(f"{url!r} is no URL of an agent; write http://HOST:PORT")
    asked = [name for name in ("gets", "cancels", "shows_card") if given[name]]
    if len(asked) > 1:
        raise click.UsageError("--get, --cancel and --card exclude each other")
    if asked and message:
        raise click.UsageError(f"--{asked[0].split('_')[-1].rstrip('s')} sends no message")
    if asked in (["gets"], ["cancels"]) and not given["task"]:
        raise click.UsageError("--get and --cancel need --task ID")
    if not asked and not message:
        raise click.UsageError("Missing argument 'MESSAGE'.")
    acts: dict[str, Act] = {"gets": "get", "cancels": "cancel", "shows_card": "card"}
    return Wanted(
        url=where,
        act=acts[asked[0]] if asked else "send",
        text="" if asked else options.given_text(message),
        task_id=given["task"] or "",
        context_id=given["context"] or "",
        streams=given["streams"] and not given["no_wait"],
        waits=not given["no_wait"],
        transport=_TRANSPORTS.get(given["transport"] or "", ""),
        token=_token(where, given["token_file"]),
        as_json=given["as_json"],
        answer_with=_answering(url, given),
    )


def _answering(url: str, given: dict[str, Any]) -> str:
    """The command that answers a question, but for the task's id."""
    words = ["codetether", "send", url, "YOUR ANSWER"]
    if given["transport"]:
        words += ["--transport", given["transport"]]
    if given["token_file"] is not None:
        words += ["--token-file", str(given["token_file"])]
    return shlex.join(words)


def _token(url: str, file: Path | None) -> str:
    """The token for an agent; empty: none.

    Raises:
        UsageError: others can read the file, or it is empty.
        ConfigError: another file of tokens is not what it must be.
    """
    from codetether_ray.bootstrap.a2a.peer_tokens import PeerTokens
    from codetether_ray.bootstrap.truth.credentials import token_for
    from codetether_ray.core.errors import UsageError

    if file is None:
        if os.environ.get(TOKEN):
            return token_for(url, os.environ)
        return PeerTokens.of(os.environ).token_for(url) or token_for(url, os.environ)
    if file.stat().st_mode & 0o077:
        raise UsageError(f"{file} can be read by others; make it yours alone: chmod 600 {file}")
    token = file.read_text("utf-8").strip()
    if not token or not all("!" <= letter <= "~" for letter in token):
        raise UsageError(f"{file} should hold the token, one word of plain letters")
    return token


async def _send(wanted: "Wanted", max_time_s: float | None) -> int:
    from codetether_ray.cli.send_talk import Talk
    from codetether_ray.cli.signals import Stopper
    from codetether_ray.cli.style import say

    stopper: Stopper[int] = Stopper(say, max_time_s)
    code = await stopper.run(Talk(wanted).do())
    return code if code == exit_codes.SUCCESS else stopper.exit_code(code)
