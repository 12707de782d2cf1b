"""The peers of the benchmark as programs: how each is installed, set up and called.

Every one has a home of its own, is pointed at a model on the loopback address, and is kept from
calling home as far as it can be told to.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = ("opencode-ai", "@openai/codex", "@anthropic-ai/claude-code")
_BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A coding agent: `command` with a prompt behind it works on that prompt and ends."""

    name: str
    command: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    fans: bool = True
    """Whether its sub-agents can be driven through its own tool, all in its one process."""

    def start(self, prompt: str, folder: Path, log: Path) -> "subprocess.Popen[bytes]":
        """Let it work on a prompt in a folder."""
        with log.open("ab") as file:
            return subprocess.Popen(
                [*self.command, prompt],
                cwd=folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )


def install(folder: Path) -> None:
    """Install the peers by npm below a folder, where they are not there yet."""
    if (folder / "node_modules" / ".bin" / "opencode").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(["npm", "install", *quiet, *PACKAGES], cwd=folder, check=True, timeout=600)
    for script in ("opencode-ai/postinstall.mjs", "@anthropic-ai/claude-code/install.cjs"):
        path = folder / "node_modules" / script
        if path.exists():
            subprocess.run(["node", path], cwd=folder, check=False, timeout=300)


def peers(folder: Path, home: Path, root: str) -> list[Program]:
    """The three, set up under `home` for the model at `root`; one that does not run is left out."""
    found = folder / "node_modules" / ".bin"
    plain = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}
    _write(home / ".codex" / "config.toml", _CODEX.format(root=root))
    _write(home / ".config" / "opencode" / "opencode.json", json.dumps(_opencode(root)))
    claude = {
        **plain,
        "ANTHROPIC_BASE_URL": root,
        "ANTHROPIC_API_KEY": "none",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_TOOL_USE_CONCURRENCY": "1000",
        "DISABLE_AUTOUPDATER": "1",
    }
    codex = ("exec", "--skip-git-repo-check", "-c", "agents.max_threads=1000")
    made = (
        Program(name="claude", command=(str(found / "claude"), "-p"), env=claude),
        Program(name="codex", command=(str(found / "codex"), *codex), env=plain),
        Program(name="opencode", command=(str(found / "opencode"), "run"), env=plain),
    )
    return [program for program in made if version(program)]


def version(program: Program) -> str:
    """What a program says of itself; empty where it does not run."""
    try:
        done = subprocess.run(
            [program.command[0], "--version"],
            env=program.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = done.stdout.strip().splitlines()
    return lines[-1] if lines and not done.returncode else ""


def ours(home: Path, root: str, *words: str) -> Program:
    """This project's command, with `words` before the prompt."""
    home.mkdir(parents=True, exist_ok=True)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "CODETETHER_LOCAL_BASE_URL": f"{root}/v1",
        **{name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ},
    }
    command = (str(_BIN / "codetether"), *(words or ("run",)), "--model", "local/m")
    return Program(name="codetether", command=command, env=env)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _opencode(root: str) -> dict[str, object]:
    options = {"baseURL": f"{root}/v1", "apiKey": "none"}
    models = {"m": {"name": "m"}}
    npm = "@ai-sdk/openai-compatible"
    return {
        "$schema": "https://opencode.ai/config.json",
        "autoupdate": False,
        "share": "disabled",
        "model": "bench/m",
        "small_model": "bench/m",
        "provider": {"bench": {"npm": npm, "name": "bench", "options": options, "models": models}},
    }


_CODEX = """\
model = "m"
model_provider = "bench"
[model_providers.bench]
name = "bench"
base_url = "{root}/v1"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
"""


def folders(parent: Path, count: int) -> Sequence[Path]:
    """As many empty project folders."""
    made = [parent / f"project-{n}" for n in range(count)]
    for folder in made:
        folder.mkdir(parents=True)
    return made
