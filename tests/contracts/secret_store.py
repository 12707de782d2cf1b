"""What every secret store promises. A subclass gives `store`, empty at first."""

import pytest

from codetether_ray.core.errors import SecretStoreError
from codetether_ray.ports.secrets import ProviderSecret, SecretStore

MARK = "marked-value-0123456789"
FULL = ProviderSecret(
    api_key=MARK,
    base_url="https://example.test/v1",
    organization="org",
    headers={"X-A": MARK},
    extra={"region": "eu-1"},
)


class SecretStoreContract:
    """Run against every implementation."""

    @pytest.fixture
    def store(self) -> SecretStore:
        raise NotImplementedError

    async def test_an_empty_store_has_nothing(self, store: SecretStore) -> None:
        assert await store.get("openai") is None
        assert await store.providers() == ()
        assert await store.remove("openai") is False

    async def test_a_secret_comes_back_with_every_field(self, store: SecretStore) -> None:
        await store.put("openai", FULL)
        assert await store.get("openai") == FULL
        assert await store.get("anthropic") is None

    async def test_a_secret_is_replaced_as_a_whole(self, store: SecretStore) -> None:
        await store.put("openai", FULL)
        await store.put("openai", ProviderSecret(api_key="other"))
        assert await store.get("openai") == ProviderSecret(api_key="other")

    async def test_names_are_listed_in_order_and_leave_with_their_secret(
        self, store: SecretStore
    ) -> None:
        for name in ("zai", "anthropic", "openai"):
            await store.put(name, ProviderSecret(api_key=name))
        assert await store.providers() == ("anthropic", "openai", "zai")
        assert await store.remove("openai") is True
        assert await store.get("openai") is None
        assert await store.providers() == ("anthropic", "zai")
        assert await store.remove("openai") is False
        await store.put("openai", FULL)
        assert await store.get("openai") == FULL

    @pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", "x" * 65, ".", "é"])
    async def test_a_name_in_which_a_path_could_hide_is_refused(
        self, store: SecretStore, name: str
    ) -> None:
        with pytest.raises(SecretStoreError):
            await store.get(name)
        with pytest.raises(SecretStoreError):
            await store.put(name, FULL)
        with pytest.raises(SecretStoreError):
            await store.remove(name)

    async def test_neither_store_nor_secret_shows_a_value(self, store: SecretStore) -> None:
        await store.put("openai", FULL)
        shown = f"{store!r} {store.description} {await store.get('openai')!r}"
        assert MARK not in shown
        assert store.description
