"""Files for TLS that cannot be used: which one it is, and what is wrong with it."""

import subprocess
from pathlib import Path

import pytest

from codetether_ray.core.errors import ConfigError
from codetether_ray.ingress.certificates import read_certificate
from codetether_ray.ingress.options import IngressOptions


def made(folder: Path, *more: str) -> tuple[Path, Path]:
    """A certificate of its own and its key."""
    folder.mkdir()
    chain, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            *more, "-keyout", str(key), "-out", str(chain), "-days", "2", "-subj", "/CN=localhost",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return chain, key


def test_the_file_that_is_wrong_is_named_and_nobody_is_asked_for_a_password(
    tmp_path: Path,
) -> None:
    chain, key = made(tmp_path / "one", "-nodes")
    _, other = made(tmp_path / "other", "-nodes")
    _, locked = made(tmp_path / "locked", "-passout", "pass:secret")
    nothing, junk = tmp_path / "nothing", tmp_path / "junk"
    junk.write_text("junk")
    wrong = (
        (nothing, key, f"{nothing} cannot be read"),
        (junk, key, f"{junk} holds no certificate"),
        (chain, junk, f"{junk} holds no private key"),
        (key, chain, f"{key} holds no certificate"),
        (chain, other, f"{other} is not the key of the certificate in {chain}"),
        (chain, locked, f"{locked} has a password"),
    )
    for one, two, said in wrong:
        with pytest.raises(ConfigError, match=said):
            read_certificate(IngressOptions(tls_certificate=str(one), tls_key=str(two)))
    assert read_certificate(IngressOptions(tls_certificate=str(chain), tls_key=str(key)))
