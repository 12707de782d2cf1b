"""Git as a program: its environment, its settings, its errors.

Nothing of the user's configuration that would change results or ask a person is in force: no
signing, no hooks (unless they are wanted), no pager, no prompts, no automatic gc. Commits are
made under an identity of our own, so none needs to be configured.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from codetether_ray.core.errors import WorkspaceError

NAME = "codetether"
EMAIL = "agent@codetether.invalid"
IDENTITY: Mapping[str, str] = {
    "GIT_AUTHOR_NAME": NAME,
    "GIT_AUTHOR_EMAIL": EMAIL,
    "GIT_COMMITTER_NAME": NAME,
    "GIT_COMMITTER_EMAIL": EMAIL,
}
OLDEST = (2, 38)
"""The first version with `git merge-tree --write-tree`."""

_GRACE_S, _INSIST_S = 10.0, 3.0
_PASSED = (
    "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CONFIG_HOME", "LD_LIBRARY_PATH",
    "GIT_EXEC_PATH", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM",
)  # fmt: skip
_SETTINGS = (
    "gc.auto=0",
    "maintenance.auto=false",
    "commit.gpgSign=false",
    "merge.verifySignatures=false",
    "merge.conflictStyle=merge",
    "merge.autoStash=false",
    "merge.renames=true",
    "merge.renameLimit=7000",
    "merge.directoryRenames=conflict",
    "rerere.enabled=false",
    "core.fsmonitor=false",
    "core.splitIndex=false",
    "core.quotePath=false",
    "core.editor=true",
    "submodule.recurse=false",
    "branch.autoSetupMerge=false",
    "diff.noprefix=false",
    "diff.mnemonicPrefix=false",
    "i18n.commitEncoding=UTF-8",
    "color.ui=false",
    "advice.detachedHead=false",
    "safe.bareRepository=all",
)
_DURABLE = ("core.fsync=all", "core.fsyncMethod=batch")
_NO_HOOKS = "core.hooksPath=/dev/null"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a git command came to."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """What it printed, without its last newline."""
        return decode_path(self.stdout).rstrip("\n")

    @property
    def parts(self) -> tuple[str, ...]:
        """What it printed, split at NUL bytes (`-z`)."""
        return tuple(decode_path(p) for p in self.stdout.split(b"\0") if p)


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """Runs git on one work tree.

    `git_dir` is named explicitly wherever it is known, so that an agent that deletes its `.git`
    file can't make us find a repository further up. `date` (git's own format) fixes the dates of
    commits. `gate` bounds how many commands run at once. `env` comes last: it overrides.
    """

    work_tree: Path
    git_dir: Path | None = None
    hooks: bool = False
    date: str = ""
    gate: asyncio.Semaphore | None = None
    env: tuple[tuple[str, str], ...] = ()

    def at(self, work_tree: Path, git_dir: Path) -> "Git":
        """The same git on another work tree."""
        return replace(self, work_tree=work_tree, git_dir=git_dir)

    async def text(self, *args: str, index: Path | None = None) -> str:
        """Run and return stdout."""
        return (await self.run(*args, index=index)).text

    async def run(
        self,
        *args: str,
        stdin: bytes | None = None,
        index: Path | None = None,
        durable: bool = False,
        allow: tuple[int, ...] = (0,),
        timeout_s: float = 900.0,
        source: Path | None = None,
        target: Path | None = None,
    ) -> Output:
        """Run one command. `index` replaces the work tree's own; `durable` flushes what it writes.

        What is too large for memory is read from the file `source`, and written to `target`.

        Raises:
            WorkspaceError: it ended with a code that is not allowed, or took too long.
        """
        command = ["git", *self._settings(durable), *args]
        env = self._environment(index, is_literal=args[0] != "check-ignore")
        async with self.gate or contextlib.nullcontext():
            files = _Files(source, target)
            work = asyncio.create_task(self._communicate(command, env, stdin, timeout_s, files))
            try:
                code, out, err = await asyncio.shield(work)
            except asyncio.CancelledError:
                await _finish(work)
                raise
            except TimeoutError as error:
                words = f"git {_verb(args)} took over {timeout_s:g} s and was ended"
                raise WorkspaceError(words) from error
        words = err.decode(errors="replace")
        if code not in allow:
            raise WorkspaceError(f"git {_verb(args)} failed: {shorten(words) or f'exit {code}'}")
        return Output(code=code, stdout=out, stderr=words)

    async def _communicate(
        self,
        command: list[str],
        env: dict[str, str],
        stdin: bytes | None,
        timeout_s: float,
        files: "_Files",
    ) -> tuple[int, bytes, bytes]:
        with files.opened() as (source, target):
            process = await self._start(command, env, stdin, source, target)
        try:
            async with asyncio.timeout(timeout_s):
                out, err = await process.communicate(stdin)
        except (TimeoutError, asyncio.CancelledError):
            await _end(process)
            raise
        return process.returncode or 0, out or b"", err

    def _settings(self, durable: bool) -> list[str]:
        settings = _SETTINGS + (_DURABLE if durable else ())
        if not self.hooks:
            settings += (_NO_HOOKS,)
        return [word for setting in settings for word in ("-c", setting)]

    async def _start(
        self,
        command: list[str],
        env: dict[str, str],
        stdin: bytes | None,
        source: int,
        target: int,
    ) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=source if stdin is None else asyncio.subprocess.PIPE,
                stdout=target,
                stderr=asyncio.subprocess.PIPE,
                cwd=self.work_tree,
                env=env,
                start_new_session=True,  # Ctrl-C at the terminal is ours to act on, not git's
            )
        except FileNotFoundError as error:
            if not self.work_tree.is_dir():
                raise WorkspaceError(f"there is no directory {self.work_tree}") from error
            raise WorkspaceError("git is not installed; install git 2.38 or newer") from error
        except OSError as error:
            raise WorkspaceError(f"git could not be started: {error}") from error

    def _environment(self, index: Path | None, *, is_literal: bool) -> dict[str, str]:
        env = {n: v for n, v in os.environ.items() if n in _PASSED or _is_setting(n)}
        env |= IDENTITY
        env |= {
            "LC_ALL": "C",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_LITERAL_PATHSPECS": "1" if is_literal else "0",
            "GIT_LFS_SKIP_SMUDGE": "1",  # content that is here is used, none is downloaded
            "GIT_MERGE_AUTOEDIT": "no",
        }
        if self.git_dir is not None:
            env |= {"GIT_DIR": str(self.git_dir), "GIT_WORK_TREE": str(self.work_tree)}
        if index is not None:
            env["GIT_INDEX_FILE"] = str(index)
        if self.date:
            env |= {"GIT_AUTHOR_DATE": self.date, "GIT_COMMITTER_DATE": self.date}
        return env | dict(self.env)


@dataclass(frozen=True, slots=True)
class _Files:
    """Where a command reads from and writes to, if not from and to us."""

    source: Path | None
    target: Path | None

    @contextlib.contextmanager
    def opened(self) -> Iterator[tuple[int, int]]:
        """What a process gets as stdin, where nothing is written to it, and as stdout."""
        ends = [asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE]
        mine: list[int] = []
        try:
            if self.source is not None:
                mine.append(os.open(self.source, os.O_RDONLY | os.O_CLOEXEC))
                ends[0] = mine[-1]
            if self.target is not None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
                mine.append(os.open(self.target, flags, 0o600))
                ends[1] = mine[-1]
            yield ends[0], ends[1]
        finally:
            for handle in mine:
                os.close(handle)


def agent_environment(*, hooks: bool) -> dict[str, str]:
    """Variables that make an agent's own git behave: an identity, no prompts, no gc."""
    settings: tuple[str, ...] = ("commit.gpgSign=false", "gc.auto=0", "maintenance.auto=false")
    if not hooks:
        settings += (_NO_HOOKS,)
    env = dict(IDENTITY)
    env |= {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_EDITOR": "true",
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for number, setting in enumerate(settings):
        env[f"GIT_CONFIG_KEY_{number}"], env[f"GIT_CONFIG_VALUE_{number}"] = setting.split("=", 1)
    return env


def decode_path(data: bytes) -> str:
    """Bytes of git as text from which the same bytes can be made again."""
    return data.decode("utf-8", "surrogateescape")


def encode_paths(paths: tuple[str, ...]) -> bytes:
    """Paths for `--pathspec-from-file=- --pathspec-file-nul`."""
    return b"\0".join(p.encode("utf-8", "surrogateescape") for p in paths)


def shown(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Paths as people and JSON can have them."""
    return tuple(p.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for p in paths)


def shorten(words: str, limit: int = 300) -> str:
    """Git's own words: its first fatal or error line (and what it lists), on one line."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    found = [n for n, line in enumerate(lines) if line.startswith(("fatal:", "error:"))]
    kept = lines[found[0] : found[0] + 3] if found else lines[-2:]
    text = "; ".join(line.removeprefix("fatal: ").removeprefix("error: ") for line in kept)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _verb(args: tuple[str, ...]) -> str:
    words = args
    while words[0] == "-c":
        words = words[2:]
    return " ".join(words[:2]) if words[0] == "worktree" else words[0]


def _is_setting(name: str) -> bool:
    return name == "GIT_CONFIG_COUNT" or name.startswith(("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_"))


async def _finish(work: asyncio.Task[tuple[int, bytes, bytes]]) -> None:
    """Let a command whose caller was cancelled end by itself: a killed git leaves its locks."""
    await asyncio.wait({work}, timeout=_GRACE_S)
    if not work.done():
        work.cancel()
        await asyncio.wait({work})
    if not work.cancelled():
        work.exception()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask it and its children to end (git then removes its locks), insist after 3 s, and wait."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)  # it leads a session of its own
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_INSIST_S):
                await process.communicate()
            return
