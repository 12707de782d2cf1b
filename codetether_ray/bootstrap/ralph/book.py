"""A PRD's file and its progress.txt, as a Ralph run keeps them."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from codetether_ray.bootstrap.ralph.prd_file import PrdFile
from codetether_ray.bootstrap.ralph.request import PROGRESS, RalphRequest
from codetether_ray.core.errors import PrdFileError
from codetether_ray.disk.files import RealDisk
from codetether_ray.ralph.prd import Prd
from codetether_ray.ralph.prd_text import PrdText
from codetether_ray.ralph.progress import appended
from codetether_ray.workspace.git import Ground
from codetether_ray.workspace.trunk import content_at


class PrdBook:
    """Implements `Book`. `tracked` are the files that the run's base has, by path from its root."""

    def __init__(self, file: PrdFile, progress: Path, tracked: Mapping[str, bool]) -> None:
        """The values of `tracked` tell the PRD (True) from progress.txt (False)."""
        self._file = file
        self._progress = progress
        self._tracked = tracked
        self._one = asyncio.Lock()

    @property
    def prd(self) -> Prd:
        """What the file holds."""
        return self._file.prd

    async def carried(self, story: str, entry: str) -> Mapping[str, bytes]:
        """What the tracked ones hold once a story has passed."""
        if not self._tracked:
            return {}
        return await asyncio.to_thread(self._carried, story, entry)

    def _carried(self, story: str, entry: str) -> Mapping[str, bytes]:
        now = self._file.save(_as_it_is)
        found: dict[str, bytes] = {}
        for path, is_prd in self._tracked.items():
            if is_prd:
                found[path] = now.passed((story,)).bytes
            else:
                found[path] = _encoded(appended(_read(self._progress), entry))
        return found

    async def passed(self, story: str, entry: str) -> None:
        """Save that a story has passed, and append its entry, once."""
        async with self._one:
            await asyncio.to_thread(self._passed, story, entry)

    def _passed(self, story: str, entry: str) -> None:
        self._file.save(lambda text: text.passed((story,)))
        old = _read(self._progress)
        new = appended(old, entry)
        if new != old:
            write(self._progress, _encoded(new))

    async def amend(self, story: str, criterion: int, words: str) -> None:
        """Word an acceptance criterion anew."""
        async with self._one:
            await asyncio.to_thread(
                self._file.save, lambda text: text.amended(story, criterion - 1, words)
            )

    @asynccontextmanager
    async def set_back(self, ground: Ground) -> AsyncIterator[None]:
        """The tracked files as the base has them, for a merge that brings their last state.

        What is not brought stays as it was.
        """
        places = {path: self._place(is_prd=is_prd) for path, is_prd in self._tracked.items()}
        last = {place: await asyncio.to_thread(place.read_bytes) for place in places.values()}
        try:
            for path, place in places.items():
                data = await content_at(ground.git, ground.record.head, path)
                if data is not None:
                    await asyncio.to_thread(write, place, data)
            yield
        finally:
            for place, data in last.items():
                if await asyncio.to_thread(place.read_bytes) != data:
                    await asyncio.to_thread(write, place, data)

    def _place(self, *, is_prd: bool) -> Path:
        return self._file.path.resolve() if is_prd else self._progress

    def close(self) -> None:
        """Let others work on the PRD."""
        self._file.close()


async def open_book(request: RalphRequest, ground: Ground) -> PrdBook:
    """A run's book, locked.

    Raises:
        PrdBusyError: another run works on the PRD.
        PrdFileError: it cannot be read.
        PrdError: it holds no PRD that can be worked on.
    """
    await asyncio.to_thread(_seed, request)
    tracked = await _tracked(request, ground)
    file = await asyncio.to_thread(_locked, request)
    return PrdBook(file, request.progress_path, tracked)


def _seed(request: RalphRequest) -> None:
    """Where the PRD is on another machine, what it held is put where the run lives; once."""
    if not request.repository or request.prd_path.exists():
        return
    request.prd_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if request.progress_text:
        write(request.progress_path, _encoded(request.progress_text))
    write(request.prd_path, _encoded(request.prd_text))


def _locked(request: RalphRequest) -> PrdFile:
    return PrdFile(request.prd_path, Path(request.data_dir), holder=request.run_id)


async def _tracked(request: RalphRequest, ground: Ground) -> dict[str, bool]:
    if ground.repository.is_private:
        return {}
    found: dict[str, bool] = {}
    progress = str(Path(request.prd).with_name(PROGRESS))
    for place, is_prd in ((request.prd, True), (progress, False)):
        path = request.in_repository(place, ground.repository.root)
        if path and await content_at(ground.git, ground.record.base, path) is not None:
            found[path] = is_prd
    return found


def own_paths(request: RalphRequest, ground: Ground) -> tuple[str, ...]:
    """The PRD and its progress.txt, by path from the repository's root: no story changes them."""
    places = (request.prd, str(Path(request.prd).with_name(PROGRESS)))
    found = (request.in_repository(place, ground.repository.root) for place in places)
    return tuple(path for path in found if path)


def write(path: Path, data: bytes) -> None:
    """Replace a file at once, flushed; its permissions stay, and a link to it.

    Raises:
        PrdFileError: it cannot be written.
    """
    path = Path(os.path.realpath(path))
    draft = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        mode = path.stat().st_mode & 0o7777 if path.exists() else 0o644
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(mode)
        draft.replace(path)
        RealDisk().sync_directory(path.parent)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise PrdFileError(str(path), f"it cannot be written: {error.strerror}") from error


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise PrdFileError(str(path), f"it cannot be read: {error.strerror}") from error


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _as_it_is(text: PrdText) -> PrdText:
    return text
