"""Which policy decides for an ingress: the table of roles, or the OPA sidecar that was named.

Replicas are not the process that `codetether serve` was typed in, so what its environment says of
the sidecar is kept in the truth's data directory, and read there.
"""

import json
import os
from collections.abc import Mapping

from codetether_ray.bootstrap.truth.identity import Home
from codetether_ray.bootstrap.truth.place import Truth
from codetether_ray.core.errors import ConfigError
from codetether_ray.policy.local import LocalPolicy
from codetether_ray.policy.opa import OpaOptions, OpaPolicy
from codetether_ray.ports.policy import Policy

SETTINGS = ("OPA_URL", "OPA_AUTHZ_PATH", "OPA_FAIL_OPEN", "OPA_LOCAL_MODE")
_FOLDER, _FILE = "auth", "policy.json"
_HERE = "codetether_ray.bootstrap.policies"
SETTLE_POLICY, POLICY = f"{_HERE}:settle", f"{_HERE}:settled"


def settings_of(env: Mapping[str, str]) -> dict[str, str]:
    """What an environment says of the sidecar.

    Raises:
        ConfigError: OPA_URL is no http(s) address.
    """
    OpaOptions.of(env)
    return {name: env[name] for name in SETTINGS if env.get(name)}


async def open_policy(truth: Truth, env: Mapping[str, str]) -> Policy:
    """The policy: as `env` says where it names one of the settings, else as was settled.

    Raises:
        ConfigError: OPA_URL is no http(s) address, or what was settled cannot be read.
        ClusterError: the head does not answer.
    """
    own = settings_of(env)
    options = OpaOptions.of(own or await truth.ask(POLICY))
    return LocalPolicy() if options is None else OpaPolicy(options)


def settle(home: Home, settings: Mapping[str, str]) -> None:
    """Keep what decides from now on.

    Raises:
        ConfigError: it cannot be written.
    """
    folder = home.data_dir / _FOLDER
    fresh = folder / f".{_FILE}.{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.write_text(json.dumps(dict(settings)), "utf-8")
        fresh.replace(folder / _FILE)
    except OSError as error:
        raise ConfigError(f"{folder / _FILE} cannot be written: {error.strerror}") from error


def settled(home: Home) -> dict[str, str]:
    """What was kept; nothing: the table of roles decides.

    Raises:
        ConfigError: it cannot be read, so that nobody knows what shall decide.
    """
    path = home.data_dir / _FOLDER / _FILE
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise ConfigError(f"{path} cannot be read; remove it, and start the server anew") from None
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise ConfigError(f"{path} is damaged; remove it, and start the server anew")
    return found
