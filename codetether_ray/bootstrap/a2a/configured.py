"""What a server is configured with, as it may be shown: no key, nothing of an address but where it
leads. On the truth, whose settings and keys its runs have."""

import os
from urllib.parse import urlsplit, urlunsplit

from codetether_ray.bootstrap.known_secrets import stored_values
from codetether_ray.bootstrap.truth.identity import Home
from codetether_ray.config.settings import Setting, Settings, load_settings
from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.codec import JsonObject, JsonValue, encode
from codetether_ray.core.masking import Masker
from codetether_ray.providers.catalog import MODELS
from codetether_ray.providers.profiles import PROFILES

CONFIG, PROVIDERS = f"{__name__}:config", f"{__name__}:providers"


async def config(home: Home) -> JsonObject:
    """The settings, each with where it comes from.

    Raises:
        ConfigError: a file or variable is wrong.
        SecretStoreError: the keys cannot be read.
    """
    settings = load_settings(home.data_dir, os.environ)
    store = open_secret_store(os.environ, home.data_dir)
    mask = Masker(await stored_values(os.environ, store, settings.default_provider or ""))
    return {
        "default_model": settings.default_model,
        "default_provider": settings.default_provider,
        "settings": [_setting(one, mask) for one in settings.listing],
    }


async def providers(home: Home) -> list[JsonObject]:
    """The providers that a run could use now: with a key, or with an address that needs none.

    Raises:
        ConfigError: a file or variable is wrong.
        SecretStoreError: the keys cannot be read.
    """
    settings = load_settings(home.data_dir, os.environ)
    with_keys = set(await open_secret_store(os.environ, home.data_dir).providers())
    found: list[JsonObject] = []
    for name, profile in PROFILES.items():
        has_key = name in with_keys
        is_open = not profile.needs_key and profile.wire != "tape"
        if has_key or (is_open and settings.base_url(name)):
            found.append(_provider(name, settings, has_key=has_key))
    return found


def _provider(name: str, settings: Settings, *, has_key: bool) -> JsonObject:
    profile = PROFILES[name]
    default = settings.default_model or settings.default_provider or ""
    return {
        "id": name,
        "has_key": has_key,
        "is_default": default.partition("/")[0] == name,
        "base_url": _address(settings.base_url(name) or profile.base_url),
        "default_model": profile.default_model or None,
        "models": [*sorted(info.id for info in MODELS.values() if info.provider == name)],
    }


def _setting(setting: Setting, mask: Masker) -> JsonObject:
    """Its place is said by kind alone: paths of the server are nobody's business."""
    plain = setting.origin if setting.origin == "default" else "set"
    return {"key": setting.key, "value": _plain(encode(setting.value), mask), "origin": plain}


def _plain(value: JsonValue, mask: Masker) -> JsonValue:
    if isinstance(value, str):
        return mask(_address(value) or "")
    if isinstance(value, list):
        return [_plain(one, mask) for one in value]
    return value


def _address(text: str) -> str | None:
    """An address without user, password and query; any other text as it is."""
    if "://" not in text:
        return text or None
    parts = urlsplit(text)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
