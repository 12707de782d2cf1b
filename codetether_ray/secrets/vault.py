"""Provider secrets in HashiCorp Vault, KV version 2, one record per provider.

Read `<mount>/data/<path>/<provider>`, list `<mount>/metadata/<path>`
(https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2).
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from codetether_ray.core.errors import SecretStoreError
from codetether_ray.ports.secrets import ProviderSecret
from codetether_ray.secrets.names import check_name
from codetether_ray.secrets.record import from_record, to_record

DEFAULT_MOUNT = "secret"
DEFAULT_PATH = "codetether/providers"

T = TypeVar("T")


class VaultStore:
    """Keeps each provider's secret as one KV v2 record.

    The token is in this object alone, never in an error or a `repr`. hvac blocks, so each call
    runs in a thread; it is imported at the first one.
    """

    def __init__(
        self,
        address: str,
        token: str,
        *,
        mount: str = DEFAULT_MOUNT,
        path: str = DEFAULT_PATH,
        namespace: str | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        """Talk to the Vault at `address`; nothing is asked yet."""
        self._address = address
        self._token = token
        self._mount = mount.strip("/")
        self._path = path.strip("/")
        self._namespace = namespace
        self._timeout_s = timeout_s

    def __repr__(self) -> str:
        return f"VaultStore({self._address!r}, mount={self._mount!r}, path={self._path!r})"

    @property
    def description(self) -> str:
        """Which Vault, and where in it."""
        return f"Vault at {self._address}, {self._mount}/{self._path}"

    async def get(self, provider: str) -> ProviderSecret | None:
        """A provider's secret; None if Vault has none, or its latest version is deleted."""
        path = self._record_path(provider)

        def read(kv: Any) -> dict[str, Any] | None:
            answer = kv.read_secret_version(
                path=path, mount_point=self._mount, raise_on_deleted_version=True
            )
            data: dict[str, Any] = answer["data"]["data"]
            return data

        record = await self._ask(read, missing=None)
        return None if record is None else from_record(record)

    async def put(self, provider: str, secret: ProviderSecret) -> None:
        """Write a new version of the record."""
        path, record = self._record_path(provider), to_record(secret)

        def write(kv: Any) -> None:
            kv.create_or_update_secret(path=path, secret=record, mount_point=self._mount)

        await self._ask(write, missing=None)

    async def remove(self, provider: str) -> bool:
        """Delete all versions of the record; False if there was none."""
        path = self._record_path(provider)
        if await self.get(provider) is None and provider not in await self.providers():
            return False

        def delete(kv: Any) -> None:
            kv.delete_metadata_and_all_versions(path=path, mount_point=self._mount)

        await self._ask(delete, missing=None)
        return True

    async def providers(self) -> tuple[str, ...]:
        """Names of the records under the path (folders are left out), sorted."""

        def names(kv: Any) -> list[str]:
            answer = kv.list_secrets(path=self._path, mount_point=self._mount)
            keys: list[str] = answer["data"]["keys"]
            return keys

        found: list[str] = await self._ask(names, missing=list[str]())
        return tuple(sorted(name for name in found if not name.endswith("/")))

    def _record_path(self, provider: str) -> str:
        return f"{self._path}/{check_name(provider)}"

    async def _ask(self, question: Callable[[Any], T], *, missing: T) -> T:
        """Ask in a thread; `missing` where Vault answers 404."""
        return await asyncio.to_thread(self._ask_now, question, missing)

    def _ask_now(self, question: Callable[[Any], T], missing: T) -> T:
        import hvac  # noqa: PLC0415 - half a second that only users of Vault pay
        import requests  # noqa: PLC0415 - comes with hvac

        client = hvac.Client(
            url=self._address,
            token=self._token,
            namespace=self._namespace,
            timeout=self._timeout_s,
        )
        try:
            return question(client.secrets.kv.v2)
        except hvac.exceptions.InvalidPath:
            return missing
        except hvac.exceptions.VaultError as error:
            raise SecretStoreError(self._refusal(error)) from None
        except requests.RequestException as error:
            raise SecretStoreError(
                f"Vault at {self._address} cannot be reached ({type(error).__name__}); check "
                "VAULT_ADDR, or unset it to use the encrypted local store"
            ) from None
        except (KeyError, TypeError, ValueError) as error:
            raise SecretStoreError(
                f"{self._address} does not answer like Vault's KV version 2 "
                f"({type(error).__name__}); check VAULT_ADDR and VAULT_MOUNT"
            ) from None
        finally:
            client.adapter.close()

    def _refusal(self, error: Any) -> str:
        kind = type(error).__name__
        if kind in ("Forbidden", "Unauthorized"):
            return (
                f"Vault at {self._address} refused the token for {self._mount}/{self._path}: "
                "check VAULT_TOKEN and its policy (read, list, create, update, delete)"
            )
        if kind == "VaultDown":
            return f"Vault at {self._address} is sealed or in standby; unseal it and try again"
        reason = "; ".join(error.errors or ()) or kind
        return f"Vault at {self._address} answered: {reason}"
