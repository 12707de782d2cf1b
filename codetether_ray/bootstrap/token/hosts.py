"""The hosts of a cluster, as a launcher file (`cluster*.yaml`) names them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codetether_ray.core.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One machine as ssh calls it, and how it is reached."""

    name: str
    """`HOST` or `USER@HOST`."""
    identity: str = ""
    """A private key's file; empty: what ssh is set up with."""
    port: int | None = None

    @property
    def command(self) -> list[str]:
        """`ssh` that asks nothing: it works, or fails within seconds."""
        out = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
        if self.identity:
            out += ["-i", str(Path(self.identity).expanduser())]
        if self.port is not None:
            out += ["-p", str(self.port)]
        return [*out, "--", self.name]


def hosts_of(path: Path) -> tuple[Host, ...]:
    """Head and workers of a launcher file whose provider is `local`: those that it lists.

    Raises:
        UsageError: it cannot be read, or lists none (a cloud's file does not know them).
    """
    import yaml  # type: ignore[import-untyped]

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        words = " ".join(str(error).split())
        raise UsageError(f"{path} cannot be read as a cluster's file: {words}") from error
    provider, auth = _part(found, "provider"), _part(found, "auth")
    head, workers = provider.get("head_ip"), provider.get("worker_ips") or ()
    names = [str(name) for name in (head, *workers) if name]
    if not names:
        raise UsageError(
            f"{path} lists no hosts (provider.head_ip, provider.worker_ips); name them: "
            "`codetether token spread HOST…`"
        )
    user, key = auth.get("ssh_user"), str(auth.get("ssh_private_key") or "")
    return tuple(
        Host(name=f"{user}@{name}" if user else name, identity=key) for name in dict.fromkeys(names)
    )


def _part(found: Any, name: str) -> Mapping[str, Any]:
    part = found.get(name) if isinstance(found, dict) else None
    return part if isinstance(part, dict) else {}
