"""Which cluster a command uses: as named, else RAY_ADDRESS, else the saved one, else one's own.

Nothing here imports Ray, and where no cluster is named nothing is read but the user's own file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.config.paths import find_paths
from codetether_ray.core.errors import ConfigError, UsageError

LOCAL = "local"
"""As an address: no cluster, this data directory."""
SETTING = "cluster.address"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A cluster's address, and what named it; `value` is empty where nothing did."""

    value: str = ""
    origin: str = ""

    @property
    def is_local(self) -> bool:
        """Whether no cluster shall be used."""
        return self.value == LOCAL

    @property
    def is_named(self) -> bool:
        """Whether a certain cluster is meant."""
        return self.value not in ("", LOCAL)

    @property
    def is_http(self) -> bool:
        """Whether it is a URL of HTTP: an ingress', or a dashboard's."""
        return self.value.startswith(("http://", "https://"))

    def __str__(self) -> str:
        return f"{self.value} ({self.origin})" if self.origin else self.value


def choose_address(given: str | None, env: Mapping[str, str]) -> Address:
    """`--address`, else RAY_ADDRESS, else the saved context, else nothing is named.

    Raises:
        UsageError: what is named is no address.
        ConfigError: the user's own file cannot be read.
    """
    if given is not None:
        return Address(value=checked(given, "--address"), origin="--address")
    if env.get("RAY_ADDRESS"):
        return Address(value=env["RAY_ADDRESS"], origin="RAY_ADDRESS")
    saved = saved_address(env)
    return Address(value=saved, origin=f"`{SETTING}`") if saved else Address()


def saved_address(env: Mapping[str, str]) -> str:
    """What `codetether context use` has saved; empty where nothing is.

    Raises:
        ConfigError: the file is not TOML, or says something else than text.
    """
    path = find_paths(env).config
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    if "address" not in text:
        return ""
    return _address_in(path, text)


def _address_in(path: Path, text: str) -> str:
    import tomllib

    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    table = data.get("cluster")
    found = table.get("address", "") if isinstance(table, dict) else ""
    if not isinstance(found, str):
        raise ConfigError(f"{path}: `{SETTING}` must be text; it is {found!r}")
    return found


def checked(text: str, where: str) -> str:
    """An address in one of the forms that are understood.

    Raises:
        UsageError: it has none of them.
    """
    if text in (LOCAL, "auto"):
        return text
    bare = text.removeprefix("ray://").removeprefix("https://").removeprefix("http://")
    if text.startswith("https://") and ":" not in bare:  # as a proxy in front of an ingress has it
        bare = f"{bare.rstrip('/')}:443"
    host, _, port = bare.rstrip("/").rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536 or "/" in host:
        raise UsageError(
            f"{where}: {text!r} is no address of a Ray cluster; write HOST:6379, "
            "ray://HOST:10001, http://HOST:8265 (its dashboard), http://HOST:4096 (an ingress), "
            "or `local` for none"
        )
    return text
