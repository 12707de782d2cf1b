"""Lays out what an order works on, on the head: a clone of a bundle or URL, or a directory there.

A clone lies below the data directory, in a folder named by its run. Nothing that is in the
repository is executed by this: no hook, no submodule, no filter that its config could name.
"""

import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from codetether_ray.bootstrap.control.bundles import bundle_path
from codetether_ray.bootstrap.control.orders import Leave, Source
from codetether_ray.bootstrap.truth.identity import Home
from codetether_ray.core.errors import UsageError
from codetether_ray.workspace.git_command import Git

SUBMITTED = "submitted"
"""Below the data directory."""
_SCHEMES = ("https", "http", "ssh", "git")
_ONLY_THESE = (
    *("-c", "protocol.allow=never"),
    *(word for scheme in _SCHEMES for word in ("-c", f"protocol.{scheme}.allow=always")),
)
_SCP_LIKE = re.compile(r"[\w.-]+@[\w.-]+:[^:]+")
_REF = re.compile(r"[A-Za-z0-9_][\w./@+-]{0,199}")


async def laid_out(home: Home, run_id: str, source: Source, leave: Leave) -> Path:
    """The directory of a run's source.

    Raises:
        UsageError: the source is named twice, or not at all, or is nothing that may be used.
        UnknownBundleError: its sender has no such bundle.
        WorkspaceError: it cannot be cloned.
    """
    if sum(map(bool, (source.bundle, source.url, source.directory))) > 1:
        raise UsageError("name one source: a bundle, a URL or a directory on the head")
    if source.ref and not _REF.fullmatch(source.ref):
        raise UsageError(f"{source.ref!r} is no name of a branch, a tag or a commit")
    if source.bundle:
        path = bundle_path(home, leave.owner, source.bundle)
        return await _cloned(home, run_id, str(path), source.ref, ())
    if source.url:
        return await _cloned(home, run_id, _checked_url(source.url), source.ref, _ONLY_THESE)
    if source.ref:
        raise UsageError("a ref belongs to a bundle or a URL; a directory is taken as it is")
    return _directory(source.directory or leave.default, leave)


def folder_of(home: Home, run_id: str) -> Path:
    """Where the files of a run lie that were sent with its order."""
    return home.data_dir / SUBMITTED / run_id


async def _cloned(
    home: Home, run_id: str, origin: str, ref: str, settings: tuple[str, ...]
) -> Path:
    folder = folder_of(home, run_id)
    folder.mkdir(mode=0o700, parents=True)
    directory = folder / "repository"
    git = Git(work_tree=folder, env=(("GIT_TERMINAL_PROMPT", "0"),))
    try:
        await git.run(
            *settings, "-c", "transfer.fsckObjects=true",
            "clone", "--quiet", "--no-checkout", "--", origin, str(directory),
        )  # fmt: skip
        await _check_out(Git(work_tree=directory), ref)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return directory


async def _check_out(git: Git, ref: str) -> None:
    """Have the files there, on a branch; a bundle need not say which one is its HEAD."""
    names = [f"refs/remotes/origin/{ref}", f"refs/tags/{ref}", ref] if ref else ["HEAD"]
    names += [] if ref else await _only_branch(git)
    for name in names:
        found = await git.run(
            "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", allow=(0, 1, 128)
        )
        if found.code == 0:
            branch = name.removeprefix("refs/remotes/origin/")
            if branch == name:
                await git.run("checkout", "--quiet", "--force", found.text)
            else:
                await git.run("checkout", "--quiet", "--force", "-B", branch, found.text)
            if name == "HEAD":
                await git.run("checkout", "--quiet", "--force", "-B", "main", found.text)
            await git.run("remote", "remove", "origin")
            return
    what = f"no branch, tag or commit {ref!r}" if ref else "no HEAD, and not just one branch"
    raise UsageError(f"the repository has {what}; name what to start from by `ref`")


async def _only_branch(git: Git) -> list[str]:
    """The branch of a repository that has one alone."""
    out = await git.text("for-each-ref", "--format=%(refname)", "refs/remotes/origin/")
    found = [name for name in out.splitlines() if not name.endswith("/HEAD")]
    return found if len(found) == 1 else []


def _checked_url(url: str) -> str:
    """The URL of a repository on another machine.

    Raises:
        UsageError: it is none, or a password is in it: a URL is on record.
    """
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in _SCHEMES and bool(parts.hostname)
    except ValueError:
        raise UsageError(f"{url!r} is no URL of a git repository") from None
    if not url.isprintable() or " " in url:
        raise UsageError("the URL holds characters that none has")
    if not is_url and (parts.scheme or not _SCP_LIKE.fullmatch(url)):
        raise UsageError(
            f"{url!r} is no URL of a git repository: write https://…, ssh://… or USER@HOST:PATH"
        )
    if is_url and parts.password:
        raise UsageError(
            "there is a password in the URL, which would be on record; set up a credential helper "
            "on the head, or upload a bundle"
        )
    return url


def _directory(text: str, leave: Leave) -> Path:
    if not text:
        raise UsageError(
            "name what to work on: upload a bundle (POST /v1/bundles), or name a URL or a "
            "directory on the head"
        )
    if "\0" in text or not text.startswith("/"):
        raise UsageError(f"{text!r} is no absolute path")
    path = Path(text).resolve()
    roots = [Path(root).resolve() for root in leave.roots]
    if not leave.is_everywhere and not any(path.is_relative_to(root) for root in roots):
        raise UsageError(
            f"{text} is not what this ingress works on; upload a bundle, or ask an administrator"
        )
    if not path.is_dir():
        raise UsageError(f"there is no directory {text} on the head")
    return path
