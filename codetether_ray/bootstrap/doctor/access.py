"""Keys, Vault, and whether the providers can be reached from here."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping

from codetether_ray.bootstrap.doctor.check import Check
from codetether_ray.bootstrap.doctor.reaching import PATIENCE_S, troubles
from codetether_ray.config.settings import Settings
from codetether_ray.config.stores import open_secret_store

_VAULT_STATES = {
    429: ("ok", "is a standby and answers", ""),
    472: ("ok", "is a replica and answers", ""),
    473: ("ok", "is a standby and answers", ""),
    501: ("fail", "is not initialised", "`vault operator init`"),
    503: ("fail", "is sealed", "`vault operator unseal`"),
}
"""What the status of `sys/health` means
(https://developer.hashicorp.com/vault/api-docs/system/health)."""


def keys(settings: Settings, env: Mapping[str, str]) -> Check:
    """Which providers have a key, and where it is kept."""

    async def names() -> tuple[str, tuple[str, ...]]:
        store = open_secret_store(env, settings.paths.data)
        return store.description, await store.providers()

    where, found = asyncio.run(names())
    if not found:
        fix = "`codetether auth set PROVIDER`, or use a local model"
        return Check(name="keys", state="warn", detail=f"none in the {where}", fix=fix)
    return Check(name="keys", state="ok", detail=f"{', '.join(found)} in the {where}")


def vault(env: Mapping[str, str]) -> Check:
    """Whether Vault answers and is open; the token is tried by `keys`."""
    address = env.get("VAULT_ADDR")
    if not address:
        words = "none is set; keys are in the encrypted local store"
        return Check(name="vault", state="ok", detail=words)
    url = f"{address.rstrip('/')}/v1/sys/health"
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            version = json.load(answer).get("version", "")
    except urllib.error.HTTPError as error:
        state, words, fix = _VAULT_STATES.get(
            error.code, ("fail", f"answers {error.code}", "check VAULT_ADDR")
        )
        return Check(name="vault", state=state, detail=f"{address} {words}", fix=fix)  # type: ignore[arg-type]
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        words = f"{address} cannot be reached ({reason})"
        fix = "check VAULT_ADDR, or unset it to use the encrypted local store"
        return Check(name="vault", state="fail", detail=words, fix=fix)
    return Check(name="vault", state="ok", detail=f"{address} answers, version {version}")


def provider_urls(settings: Settings, with_key: Iterable[str]) -> dict[str, str]:
    """Base URLs of the providers that can be meant: with a key, with an address, the default."""
    from codetether_ray.providers.profiles import PROFILES

    default = (settings.default_model or settings.default_provider or "").partition("/")[0]
    names = sorted({*with_key, *settings.base_urls, *([default] if default else [])})
    found = {
        name: settings.base_url(name) or (PROFILES[name].base_url if name in PROFILES else "")
        for name in names
    }
    return {name: url for name, url in found.items() if url}


def providers(settings: Settings, env: Mapping[str, str]) -> Check:
    """Whether the servers of those providers answer, all asked at once."""
    store = open_secret_store(env, settings.paths.data)
    urls = provider_urls(settings, asyncio.run(store.providers()))
    if not urls:
        fix = "`codetether auth set PROVIDER`, or providers.local.base_url"
        return Check(name="providers", state="warn", detail="none is set up", fix=fix)
    return reached(urls, troubles(urls.values()))


def reached(urls: Mapping[str, str], found: Mapping[str, str]) -> Check:
    """One line on all providers; `found` says by URL why it cannot be reached, or nothing."""
    lost = {name: url for name, url in urls.items() if found.get(url)}
    if not lost:
        words = f"{', '.join(urls)} can be reached"
        return Check(name="providers", state="ok", detail=words)
    words = "; ".join(f"{name} at {url}: {found[url]}" for name, url in lost.items())
    fix = "check the network, the proxy, or `codetether config set providers.NAME.base_url URL`"
    return Check(
        name="providers",
        state="fail" if len(lost) == len(urls) else "warn",
        detail=f"cannot be reached: {words}",
        fix=fix,
    )
