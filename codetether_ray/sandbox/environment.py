"""Which variables a tool process sees: an allow-list, so that a new secret is unseen by default."""

from collections.abc import Mapping

from codetether_ray.core.masking import looks_secret

# The person and the terminal; then what builds and tests need to find their tools, caches and
# certificates.
_ALLOWED = """
PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ TERM COLORTERM NO_COLOR TMPDIR TMP TEMP
XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_RUNTIME_DIR

VIRTUAL_ENV CONDA_PREFIX PYENV_ROOT PYENV_VERSION UV_CACHE_DIR PIP_CACHE_DIR CI
CC CXX CFLAGS CXXFLAGS CPPFLAGS LDFLAGS MAKEFLAGS PKG_CONFIG_PATH LD_LIBRARY_PATH
CARGO_HOME RUSTUP_HOME RUSTUP_TOOLCHAIN GOPATH GOROOT GOCACHE GOMODCACHE GOFLAGS GOTOOLCHAIN
JAVA_HOME GRADLE_USER_HOME MAVEN_HOME NVM_DIR NVM_BIN NODE_PATH PNPM_HOME COREPACK_HOME
npm_config_cache DOTNET_ROOT GEM_HOME GEM_PATH BUNDLE_PATH
SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS
GIT_SSL_CAINFO PIP_CERT
HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy
PIP_INDEX_URL UV_INDEX_URL UV_DEFAULT_INDEX GOPROXY npm_config_registry
"""
_NAMES = frozenset(_ALLOWED.split())
_PREFIXES = ("LC_",)
_NEVER_WAIT = {"GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true", "GIT_PAGER": "cat"}
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


def tool_environment(
    environ: Mapping[str, str], extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The variables of a tool process: the allowed ones of `environ`, then `extra` as given.

    An allowed variable is left out where its value holds a password or looks like a key. Git is
    told never to wait for a person.
    """
    allowed = {
        name: value
        for name, value in environ.items()
        if (name in _NAMES or name.startswith(_PREFIXES)) and not _is_private(value)
    }
    return {"PATH": _DEFAULT_PATH, **_NEVER_WAIT, **allowed, **(extra or {})}


def _is_private(value: str) -> bool:
    return ("://" in value and "@" in value) or looks_secret(value)
