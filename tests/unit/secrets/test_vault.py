import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.errors import SecretStoreError
from codetether_ray.ports.secrets import ProviderSecret
from codetether_ray.secrets.encrypted import EncryptedStore
from codetether_ray.secrets.vault import VaultStore
from tests.contracts.secret_store import SecretStoreContract
from tests.unit.secrets.vault_server import TOKEN, Vault, serve_vault


@pytest.fixture
def vault() -> Iterator[Vault]:
    with serve_vault(Vault()) as running:
        yield running


class TestVaultStore(SecretStoreContract):
    @pytest.fixture
    def store(self, vault: Vault) -> VaultStore:
        return VaultStore(vault.address, TOKEN)


async def test_a_record_lies_where_the_vault_command_would_put_it(vault: Vault) -> None:
    store = VaultStore(vault.address, TOKEN)
    await store.put("openai", ProviderSecret(api_key="k", extra={"region": "eu"}))
    assert vault.versions == {"codetether/providers/openai": [{"api_key": "k", "region": "eu"}]}
    await store.get("openai")
    assert vault.asked[-1] == ("GET", "/v1/secret/data/codetether/providers/openai")
    await store.providers()
    assert vault.asked[-1] == ("LIST", "/v1/secret/metadata/codetether/providers")


async def test_mount_and_path_come_from_the_environment(tmp_path: Path) -> None:
    with serve_vault(Vault(mount="kv")) as vault:
        env = {
            "VAULT_ADDR": vault.address,
            "VAULT_TOKEN": TOKEN,
            "VAULT_MOUNT": "kv/",
            "VAULT_SECRETS_PATH": "/team/models/",
        }
        store = open_secret_store(env, tmp_path)
        await store.put("zai", ProviderSecret(api_key="k"))
        assert list(vault.versions) == ["team/models/zai"]
        assert "kv/team/models" in store.description


async def test_a_deleted_version_is_no_secret_and_can_be_removed(vault: Vault) -> None:
    vault.versions["codetether/providers/openai"] = [{"api_key": "old"}, None]
    store = VaultStore(vault.address, TOKEN)
    assert await store.get("openai") is None
    assert await store.remove("openai") is True
    assert vault.versions == {}


async def test_folders_beside_the_records_are_not_providers(vault: Vault) -> None:
    vault.versions["codetether/providers/sub/x"] = [{"api_key": "k"}]
    vault.versions["codetether/providers/zai"] = [{"api_key": "k"}]
    assert await VaultStore(vault.address, TOKEN).providers() == ("zai",)


async def test_a_refused_token_says_so_and_does_not_show_it(vault: Vault) -> None:
    store = VaultStore(vault.address, "hvs.a-wrong-token")
    for question in (store.get("openai"), store.providers(), store.put("x", ProviderSecret())):
        with pytest.raises(SecretStoreError, match="refused the token") as caught:
            await question
        assert "wrong-token" not in repr(caught.value)
        assert caught.value.exit_code == 4


async def test_a_sealed_vault_says_so(vault: Vault) -> None:
    vault.is_sealed = True
    with pytest.raises(SecretStoreError, match="sealed"):
        await VaultStore(vault.address, TOKEN).get("openai")


async def test_a_vault_that_is_not_there_is_told_from_an_empty_one() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(SecretStoreError, match="cannot be reached"):
            await VaultStore(address, TOKEN).get("openai")


@pytest.mark.parametrize("answer", [b"<html>hello</html>", b"{}", b'{"data": []}', b"[]"])
async def test_a_server_that_is_no_vault_is_named(vault: Vault, answer: bytes) -> None:
    vault.odd_answer = answer
    with pytest.raises(SecretStoreError, match="does not answer like Vault"):
        await VaultStore(vault.address, TOKEN).get("openai")


def test_without_an_address_the_local_store_is_used(tmp_path: Path) -> None:
    assert isinstance(open_secret_store({}, tmp_path), EncryptedStore)
    assert list(tmp_path.iterdir()) == []


def test_an_address_without_a_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SecretStoreError, match="VAULT_TOKEN"):
        open_secret_store({"VAULT_ADDR": "http://127.0.0.1:1"}, tmp_path)
