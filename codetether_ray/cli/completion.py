"""`codetether completion`: the script that teaches a shell our commands."""

import click
from click.shell_completion import get_completion_class

_VARIABLE = "_CODETETHER_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of SHELL.

    For bash: `codetether completion bash > ~/.local/share/bash-completion/completions/codetether`.
    """
    from codetether_ray.cli.main import PROGRAM, root

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(kind(root, {}, PROGRAM, _VARIABLE).source())
