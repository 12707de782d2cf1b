"""`codetether completion`: the script that teaches a shell our commands."""

import click
from click.shell_completion import get_completion_class

from codetether_ray.cli.examples import examples

_VARIABLE = "_CODETETHER_COMPLETE"


@click.command(
    "completion",
    epilog=examples(
        'eval "$(codetether completion bash)"   # in ~/.bashrc',
        'eval "$(codetether completion zsh)"    # in ~/.zshrc',
        "codetether completion fish > ~/.config/fish/completions/codetether.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of SHELL."""
    from codetether_ray.cli.main import PROGRAM, root

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(kind(root, {}, PROGRAM, _VARIABLE).source())
