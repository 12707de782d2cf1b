"""What the gate's tests share."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_settings_of_this_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CODETETHER_AUTH_TOKEN", "OPA_URL", "OPA_LOCAL_MODE", "CODETETHER_AUDIT_LOG_PATH"):
        monkeypatch.delenv(name, raising=False)
