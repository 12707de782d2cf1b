"""`codetether run "/go …"` and its like: a relay, or the command that the message names."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from codetether_ray.cli import options
from codetether_ray.cli.options import Format
from codetether_ray.cli.slash import Slash
from codetether_ray.cli.style import say

_PASSED_ON = {
    "model": "--model",
    "budget": "--budget",
    "max_tokens": "--max-tokens",
    "max_time": "--max-time",
    "retry_for": "--retry-for",
    "wait_quota": "--wait-quota",
    "record": "--record",
    "address": "--address",
    "max_steps": "--max-steps",
    "timeout": "--timeout",
}
"""Options of `run` that the commands behind `/swarm` and `/ralph` have as well."""


_NOT_TAKEN = {
    "session": "--session",
    "go_on": "--continue",
    "files": "--file",
    "output_schema": "--output-schema",
}
"""Options of `run` that are of one agent's conversation alone."""
_OF_TEAMS = {"rounds": "--rounds", "merge": "--merge", "yes": "--yes"}
"""Options of `run` that mean nothing to one agent."""


def refuse_others(slash: Slash | None, given: dict[str, Any]) -> None:
    """Refuse options that mean nothing to the command in a message, or to a message without.

    Raises:
        click.UsageError: there is one.
    """
    if slash is None:
        found = [option for name, option in _OF_TEAMS.items() if given[name]]
        if found:
            raise click.UsageError(
                f"{' and '.join(found)}: only a message that is a command (/go, /autochat, …) "
                "takes that"
            )
        return
    refused = dict(_NOT_TAKEN)
    if slash.verb in ("swarm", "ralph"):
        refused |= {"rounds": "--rounds", "output": "--output"}
    found = [option for name, option in refused.items() if given[name]]
    if found:
        raise click.UsageError(f"/{slash.verb} takes no {' and no '.join(found)}")


async def relay(
    slash: Slash | None, form: Format, given: dict[str, Any], *, okr_run_id: str = ""
) -> int:
    """Do the relay of `/go` or `/autochat`; without a `slash`, the one that `--resume` names.

    `okr_run_id`: it works for this run of an OKR that is there, and drafts none.
    """
    from codetether_ray.bootstrap.relay.run import run_relay
    from codetether_ray.cli import unfinished
    from codetether_ray.cli.driven import DrivenRun
    from codetether_ray.cli.relay_consent import OkrConsent
    from codetether_ray.cli.relay_output import relay_summary
    from codetether_ray.cli.relay_view import RelayView

    if slash is not None:
        unfinished.remind(Path.cwd())
    run = DrivenRun(form, given["max_time"], RelayView())
    consent = OkrConsent(run.progress)
    wish = replace(wish_of(slash, given), okr_run_id=okr_run_id)
    result = await run.result_of(run_relay(wish, run.show, consent.ask, say))
    code = run.finish(result, result["final_handoff"], relay_summary(result))
    if given["output"] is not None:
        options.write_last(given["output"], result["final_handoff"])
    return code


def wish_of(slash: Slash | None, given: dict[str, Any]) -> Any:
    """The options of `codetether run` as what is wanted of a relay."""
    from codetether_ray.bootstrap.relay.run import RelayWish

    return RelayWish(
        task="" if slash is None else slash.text,
        directory=Path.cwd(),
        is_gated=slash is not None and slash.verb == "go",
        is_approved=given["yes"],
        resume=given["resume"] if slash is None else None,
        count=3 if slash is None else slash.count,
        rounds=given["rounds"],
        model=given["model"],
        max_steps=given["max_steps"],
        timeout_s=given["timeout"],
        retry_for_s=given["retry_for"],
        wait_quota_s=given["wait_quota"],
        budget=options.budget(given["budget"], given["max_tokens"]),
        deliver=given["merge"],
        record=given["record"],
        address=given["address"],
        on_ray=given["on_ray"],
    )


def other(slash: Slash, form: Format, given: dict[str, Any]) -> int:
    """Do `/swarm` or `/ralph` as the command of that name does."""
    from codetether_ray.cli.main import root

    words = ["--format", form]
    for name, option in _PASSED_ON.items():
        if given[name] is not None:
            words += [option, str(given[name])]
    words += [f"--{name}" for name in ("merge", "yes") if given[name]]
    if slash.verb == "swarm":
        arguments = ["swarm", *words, "--", slash.text]
    else:
        prd = ["--prd", slash.text] if slash.text else []
        arguments = ["ralph", "run", *words, *prd]
    answer = root.main(args=arguments, prog_name="codetether", standalone_mode=False)
    return answer if isinstance(answer, int) else 0
