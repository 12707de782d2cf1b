"""Ray's token on other hosts, over a real ssh to a real sshd on the loopback address."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from codetether_ray.bootstrap.token.hosts import Host
from codetether_ray.bootstrap.token.place import create, find_token, write
from codetether_ray.bootstrap.token.spread import compare, rotate, spread
from codetether_ray.core.errors import UsageError

_SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = pytest.mark.skipif(
    _SSHD is None or shutil.which("ssh") is None, reason="openssh-server is not installed"
)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """This machine as an ssh host, with keys and settings of the test alone."""
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True
        )
    (folder / "authorized").write_bytes((folder / "user.pub").read_bytes())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    Path("/run/sshd").mkdir(exist_ok=True)
    words = [f"HostKey={folder / 'host'}", f"AuthorizedKeysFile={folder / 'authorized'}"]
    words += ["ListenAddress=127.0.0.1", f"Port={port}", "StrictModes=no", "UsePAM=no"]
    words += ["PidFile=none", "PermitRootLogin=prohibit-password"]
    sshd = subprocess.Popen(
        [str(_SSHD), "-D", "-e", "-f", "/dev/null", *(f"-o{w}" for w in words)],
        stderr=subprocess.DEVNULL,
    )
    known = (folder / "host.pub").read_text().split()[:2]
    (folder / "known").write_text(f"[127.0.0.1]:{port} {' '.join(known)}\n")
    shim = folder / "bin"
    shim.mkdir()
    (shim / "ssh").write_text(
        f"#!/bin/sh\nexec {shutil.which('ssh')} -F none "
        f'-o UserKnownHostsFile={folder / "known"} -o IdentitiesOnly=yes "$@"\n'
    )
    (shim / "ssh").chmod(0o755)
    patch = pytest.MonkeyPatch()
    patch.setenv("PATH", f"{shim}{os.pathsep}{os.environ['PATH']}")
    _until_listening(port)
    yield Host(name=f"{getpass.getuser()}@127.0.0.1", identity=str(folder / "user"), port=port)
    patch.undo()
    sshd.terminate()
    sshd.wait()


def _until_listening(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return


_NOBODY = Host(name="127.0.0.1", port=1)


def test_a_token_is_laid_on_a_host_for_its_user_alone(host: Host, tmp_path: Path) -> None:
    token, there = create(tmp_path / "here"), tmp_path / "a folder" / "auth_token"
    assert [t.detail for t in compare([host], str(there))] == ["it has no token"]
    (told,) = spread(token, [host], str(there))
    assert (told.is_well, told.detail) == (True, token.fingerprint)
    assert there.read_text() == token.text
    assert there.stat().st_mode & 0o777 == 0o600
    assert [t.detail for t in compare([host], str(there))] == [token.fingerprint]
    assert [path.name for path in there.parent.iterdir()] == ["auth_token"]


def test_a_host_that_cannot_be_reached_is_named_and_the_others_are_served(
    host: Host, tmp_path: Path
) -> None:
    token, there = create(tmp_path / "here"), tmp_path / "there"
    lost, served = spread(token, [_NOBODY, host], str(there))
    assert served.is_well
    assert not lost.is_well
    assert "refused" in lost.detail
    assert token.text not in lost.detail


def test_a_rotation_changes_the_token_here_and_there(host: Host, tmp_path: Path) -> None:
    old, there = create(tmp_path / "here"), tmp_path / "there"
    spread(old, [host], str(there))
    new, (told,) = rotate(old, [host], str(there))
    assert new.text != old.text
    assert told.detail == new.fingerprint
    assert there.read_text() == new.text
    assert find_token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "here")}).text == new.text


def test_a_rotation_that_one_host_refuses_changes_nothing_anywhere(
    host: Host, tmp_path: Path
) -> None:
    old, there = create(tmp_path / "here"), tmp_path / "there"
    spread(old, [host], str(there))
    with pytest.raises(UsageError, match="not changed") as refused:
        rotate(old, [host, _NOBODY], str(there))
    assert "127.0.0.1: " in str(refused.value)
    assert there.read_text() == old.text
    assert (tmp_path / "here").read_text() == old.text
    assert not (tmp_path / "there.next").exists()


def test_a_token_in_a_variable_is_not_rotated_behind_its_back(tmp_path: Path) -> None:
    write(tmp_path / "here", "1")
    given = find_token({"RAY_AUTH_TOKEN": "12", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "here")})
    with pytest.raises(UsageError, match="RAY_AUTH_TOKEN"):
        rotate(given, [])
    assert (tmp_path / "here").read_text() == "1"
