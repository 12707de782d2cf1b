"""Whose certificates are believed."""

import ssl
from pathlib import Path

import pytest

from codetether_ray.bootstrap.truth.trusted import CA_FILE, trusted
from codetether_ray.core.errors import ConfigError


def test_a_file_that_names_no_authority_is_one_sentence(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("no certificate")
    for path, why in ((nothing, "holds no certificate"), (tmp_path / "away", "No such file")):
        with pytest.raises(ConfigError, match=why):
            trusted({CA_FILE: str(path)})


def test_without_one_this_machines_authorities_count() -> None:
    found = trusted({})
    assert (found.verify_mode, found.check_hostname) == (ssl.CERT_REQUIRED, True)
