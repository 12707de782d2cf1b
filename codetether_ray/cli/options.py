"""Options that commands share, and how their values become what the run needs."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from codetether_ray.core.errors import CodetetherError, UsageError
from codetether_ray.core.usage import Budget

F = TypeVar("F", bound=Callable[..., Any])
Format = Literal["text", "json", "stream-json"]
"""What a run prints: its answer, one object, or a line per event."""


class Quantity(click.ParamType[float]):
    """A duration in seconds (`90`, `5m`, `2h`) or a size in bytes (`500MB`), as in the settings."""

    def __init__(self, name: Literal["duration", "size"], *, is_zero_allowed: bool = False) -> None:
        self.name = name
        self._is_zero_allowed = is_zero_allowed

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read the text of an argument."""
        from codetether_ray.config.kinds import DURATION, SIZE

        kind = DURATION if self.name == "duration" else SIZE
        try:
            amount = kind.parse(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)
        if not isinstance(amount, (int, float)) or (amount == 0 and not self._is_zero_allowed):
            self.fail(f"{value!r} must be more than nothing", param, ctx)
        return amount


class NewFile(click.Path):
    """A file that will be written at the end: whether it can be is found out at the beginning."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the path; its folder must be there."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        folder = path.absolute().parent
        if not folder.is_dir():
            self.fail(f"there is no folder {folder}", param, ctx)
        if not os.access(folder, os.W_OK | os.X_OK) and not path.exists():
            self.fail(f"you may not write in {folder}", param, ctx)
        return path


SPAN = Quantity("duration")
SPAN_OR_ZERO = Quantity("duration", is_zero_allowed=True)
SIZE = Quantity("size")
NEW_FILE = NewFile()
_POSITIVE = click.FloatRange(min=0, min_open=True)
_COUNT = click.IntRange(min=1)


def limits(function: F) -> F:
    """Model, budget, time and tape: the options of every run."""
    for option in reversed(
        (
            click.option("-m", "--model", metavar="PROVIDER/MODEL", help="The model to ask."),
            click.option(
                "--budget", type=_POSITIVE, metavar="USD", help="Spend at most this many dollars."
            ),
            click.option(
                "--max-tokens", type=_COUNT, metavar="N", help="Use at most this many tokens."
            ),
            click.option(
                "--max-time",
                type=SPAN,
                metavar="TIME",
                help="End after this time, with exit code 124.",
            ),
            click.option(
                "--retry-for",
                type=SPAN_OR_ZERO,
                metavar="TIME",
                help="How long one model call is repeated while the provider is busy.  "
                "[default: agent.retry_for, 300]",
            ),
            click.option(
                "--wait-quota",
                type=SPAN_OR_ZERO,
                metavar="TIME",
                help="How long to wait for a spent quota to come back, then go on.  "
                "[default: agent.wait_quota, 0]",
            ),
            click.option(
                "--record",
                type=NEW_FILE,
                metavar="FILE",
                help="Write the run's tape, for `--model tape/FILE`.",
            ),
        )
    ):
        function = option(function)
    return function


def address(function: F) -> F:
    """`--address`: which cluster; None where it is not given."""
    return click.option(
        "--address",
        metavar="ADDRESS",
        default=None,
        help="Use the Ray cluster at HOST:6379, or behind its ingress at http://HOST:4096; `local` "
        "for none.  "
        "[default: RAY_ADDRESS, `codetether context`, your own head]",
    )(function)


def resume(help_text: str) -> Callable[[F], F]:
    """`--resume [ID]`: None where it is not given, empty where it names nothing."""
    return click.option(
        "--resume", is_flag=False, flag_value="", metavar="[ID]", default=None, help=help_text
    )


def refuse_text(text: str, named: str, instead: str) -> None:
    """Refuse a text beside `--resume`, which may have been taken for its ID.

    Raises:
        click.UsageError: there is one.
    """
    from codetether_ray.core.ids import is_run_id

    if text or (named and " " in named and not is_run_id(named)):
        raise click.UsageError(
            f"--resume goes on with what is recorded and takes no text; {instead}"
        )


def budget(usd: float | None, max_tokens: int | None, agents: int | None = None) -> Budget:
    """What the run may spend."""
    return Budget(tokens=max_tokens, usd=usd, agents=agents)


def given_text(argument: str) -> str:
    """The argument, or what stdin holds where it is `-`.

    Raises:
        UsageError: there is no text.
    """
    text = sys.stdin.read() if argument == "-" else argument
    if not text.strip():
        raise UsageError("nothing was asked: the text is empty")
    return text


def write_last(path: Path, text: str) -> None:
    """Write the last message where `--output` says.

    Raises:
        CodetetherError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CodetetherError(f"the answer cannot be written to {path}: {error}") from error


def schema(path: Path | None) -> str | None:
    """The JSON text of `--output-schema`.

    Raises:
        UsageError: the file is no JSON Schema.
    """
    if path is None:
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"--output-schema {path}: {error}") from error
    if not isinstance(value, dict):
        raise UsageError(f"--output-schema {path}: a JSON Schema is an object")
    _check_schema(path, value)
    return json.dumps(value)


def _check_schema(path: Path, value: dict[str, Any]) -> None:
    """Refuse now what no answer could be judged by."""
    from jsonschema import validators  # type: ignore[import-untyped]
    from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped]

    try:
        validators.validator_for(value).check_schema(value)
    except SchemaError as error:
        where = "/".join(str(step) for step in error.absolute_path)
        at = f" (at {where})" if where else ""
        raise UsageError(f"--output-schema {path}: {error.message[:300]}{at}") from error
