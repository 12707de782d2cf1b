"""Which secret store the environment asks for."""

from collections.abc import Mapping
from pathlib import Path

from codetether_ray.core.errors import SecretStoreError
from codetether_ray.ports.secrets import SecretStore


def open_secret_store(env: Mapping[str, str], data_dir: Path) -> SecretStore:
    """Vault where `VAULT_ADDR` is set, else the encrypted file under `data_dir`.

    `VAULT_TOKEN`, `VAULT_MOUNT` (`secret`), `VAULT_SECRETS_PATH` (`codetether/providers`) and
    `VAULT_NAMESPACE` say the rest. Nothing is asked or written yet.

    Raises:
        SecretStoreError: there is an address and no token, so it is unclear what is meant.
    """
    address, token = env.get("VAULT_ADDR"), env.get("VAULT_TOKEN")
    if not address:
        from codetether_ray.secrets.encrypted import EncryptedStore  # noqa: PLC0415 - one of two

        return EncryptedStore(data_dir)
    if not token:
        raise SecretStoreError(
            "VAULT_ADDR is set and VAULT_TOKEN is not; set the token (`export "
            "VAULT_TOKEN=$(vault print token)`), or unset VAULT_ADDR to use the local store"
        )
    from codetether_ray.secrets.vault import (  # noqa: PLC0415 - one of two
        DEFAULT_MOUNT,
        DEFAULT_PATH,
        VaultStore,
    )

    return VaultStore(
        address,
        token,
        mount=env.get("VAULT_MOUNT") or DEFAULT_MOUNT,
        path=env.get("VAULT_SECRETS_PATH") or DEFAULT_PATH,
        namespace=env.get("VAULT_NAMESPACE") or None,
    )
