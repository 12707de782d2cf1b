"""What was read from the archive stays here a while, so that it is fetched once. Bounded."""

import gzip
import os
import shutil
from pathlib import Path

from codetether_ray.archive.pull import download
from codetether_ray.archive.store import ObjectStore
from codetether_ray.core.ids import is_run_id

CACHE_BYTES = 2 * 1024**3


class ReadThrough:
    """Gets a run's segment or blob from the archive: into the cache, and from there to a target.

    Called with a run's id, a name below the run's directory, and where the file should be;
    answers whether it is there now. What was used longest ago goes when the cache is full.
    """

    def __init__(self, store: ObjectStore, directory: Path, limit_bytes: int = CACHE_BYTES) -> None:
        self._store = store
        self._directory = directory
        self._limit = limit_bytes

    def __call__(self, run_id: str, name: str, target: Path) -> bool:
        """Fetch.

        Raises:
            ArchiveError: the archive cannot be read, or holds something damaged.
        """
        if not is_run_id(run_id) or ".." in Path(name).parts or Path(name).is_absolute():
            return False
        found = self._cached(run_id, name)
        if found is None:
            return False
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            _convert(found, draft, is_packed=name.endswith(".gz"))
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
        return True

    def _cached(self, run_id: str, name: str) -> Path | None:
        plain = name.removesuffix(".gz")
        forms = (name, *(f for f in (plain, f"{plain}.gz") if f != name))
        forms = forms if plain.endswith(".jsonl") else (name,)
        for form in forms:
            path = self._directory / run_id / form
            if path.exists():
                os.utime(path)
                return path
        for form in forms:
            path = self._directory / run_id / form
            if download(self._store, f"{run_id}/{form}", path) is not None:
                self._shrink(keep=path)
                return path
        return None

    def _shrink(self, keep: Path) -> None:
        files = [(p.stat(), p) for p in self._directory.rglob("*") if p.is_file()]
        total = sum(status.st_size for status, _ in files)
        for status, path in sorted(files, key=lambda f: f[0].st_mtime):
            if total <= self._limit:
                return
            if path != keep:
                path.unlink(missing_ok=True)
                total -= status.st_size


def _convert(found: Path, target: Path, *, is_packed: bool) -> None:
    """Copy, in the form that was asked for."""
    has_packed = found.name.endswith(".gz")
    if has_packed == is_packed:
        shutil.copyfile(found, target)
    elif has_packed:
        with gzip.open(found, "rb") as source, target.open("wb") as out:
            shutil.copyfileobj(source, out)
    else:
        with found.open("rb") as source, gzip.open(target, "wb") as out:
            shutil.copyfileobj(source, out)
