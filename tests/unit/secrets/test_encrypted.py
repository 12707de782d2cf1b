import asyncio
import os
import stat
from pathlib import Path

import pytest

from codetether_ray.core.errors import SecretStoreError
from codetether_ray.ports.secrets import ProviderSecret
from codetether_ray.secrets.encrypted import EncryptedStore
from codetether_ray.testing.leaks import find_leaks
from tests.contracts.secret_store import FULL, MARK, SecretStoreContract


class TestEncryptedStore(SecretStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> EncryptedStore:
        return EncryptedStore(tmp_path / "data")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_only_its_owner_can_read_the_files_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        await EncryptedStore(tmp_path).put("openai", FULL)
    finally:
        os.umask(old)
    folder = tmp_path / "secrets"
    assert _mode(folder) == 0o700
    assert {path.name: _mode(path) for path in folder.iterdir()} == {
        "key": 0o600,
        "store": 0o600,
        "lock": 0o600,
    }


async def test_no_file_holds_a_value_or_a_name_in_the_clear(tmp_path: Path) -> None:
    await EncryptedStore(tmp_path).put("provider-name", FULL)
    assert find_leaks(MARK, [tmp_path]) == []
    assert find_leaks("provider-name", [tmp_path]) == []


async def test_reading_makes_no_files(tmp_path: Path) -> None:
    store = EncryptedStore(tmp_path / "data")
    await store.get("openai")
    await store.remove("openai")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
async def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    store = EncryptedStore(tmp_path)
    await store.put("openai", FULL)
    key = tmp_path / "secrets" / "key"
    key.chmod(mode)
    for question in (store.get("openai"), store.providers(), store.put("zai", FULL)):
        with pytest.raises(SecretStoreError, match=f"chmod 600 {key}"):
            await question
    key.chmod(0o600)
    assert await store.get("openai") == FULL


async def test_a_key_behind_a_link_is_refused(tmp_path: Path) -> None:
    store = EncryptedStore(tmp_path)
    await store.put("openai", FULL)
    key = tmp_path / "secrets" / "key"
    key.rename(tmp_path / "elsewhere")
    key.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SecretStoreError, match="cannot be read"):
        await store.get("openai")


async def test_a_lost_key_is_not_silently_replaced(tmp_path: Path) -> None:
    store = EncryptedStore(tmp_path)
    await store.put("openai", FULL)
    sealed = (tmp_path / "secrets" / "store").read_bytes()
    (tmp_path / "secrets" / "key").unlink()
    for question in (store.get("openai"), store.put("openai", FULL)):
        with pytest.raises(SecretStoreError, match="missing"):
            await question
    assert (tmp_path / "secrets" / "store").read_bytes() == sealed
    assert not (tmp_path / "secrets" / "key").exists()


async def test_a_changed_store_is_refused(tmp_path: Path) -> None:
    store = EncryptedStore(tmp_path)
    await store.put("openai", FULL)
    path = tmp_path / "secrets" / "store"
    data = path.read_bytes()
    for broken in (data[:-1], data[:10], b"", data[:40] + bytes([data[40] ^ 1]) + data[41:]):
        path.write_bytes(broken)
        with pytest.raises(SecretStoreError, match="damaged"):
            await store.get("openai")


async def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    names = [f"p{number}" for number in range(12)]
    await asyncio.gather(
        *(EncryptedStore(tmp_path).put(name, ProviderSecret(api_key=name)) for name in names)
    )
    store = EncryptedStore(tmp_path)
    assert await store.providers() == tuple(sorted(names))
    assert [(await store.get(name) or FULL).api_key for name in names] == names


async def test_a_directory_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(SecretStoreError, match="cannot be written"):
        await EncryptedStore(tmp_path / "data").put("openai", FULL)
