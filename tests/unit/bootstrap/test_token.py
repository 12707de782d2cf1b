"""Ray's token on one machine, and the hosts that a launcher's file names."""

from pathlib import Path

import pytest

from codetether_ray.bootstrap.doctor.token import token as looked_at
from codetether_ray.bootstrap.token.hosts import hosts_of
from codetether_ray.bootstrap.token.place import create, find_token, token_path, write
from codetether_ray.core.errors import UsageError


def _env(home: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(home), **more}


def test_a_token_is_made_where_ray_looks_and_for_this_user_alone(tmp_path: Path) -> None:
    made = create(token_path(_env(tmp_path)))
    path = tmp_path / ".ray" / "auth_token"
    assert path.read_text() == made.text
    assert len(made.text) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    assert find_token(_env(tmp_path)) == made
    with pytest.raises(UsageError, match="token rotate"):
        create(path)
    assert path.read_text() == made.text


def test_the_variables_of_ray_come_before_the_file(tmp_path: Path) -> None:
    create(token_path(_env(tmp_path)))
    other = write(tmp_path / "other", "0123")
    assert find_token(_env(tmp_path, RAY_AUTH_TOKEN_PATH=str(tmp_path / "other"))) == other
    assert find_token(_env(tmp_path, RAY_AUTH_TOKEN="9")).source == "RAY_AUTH_TOKEN"


def test_a_token_does_not_appear_where_it_is_shown_or_logged(tmp_path: Path) -> None:
    made = create(tmp_path / "t")
    assert made.text not in repr(made)
    assert made.fingerprint in repr(made)
    assert made.fingerprint not in made.text


def test_a_token_that_others_may_read_is_a_fault_with_its_remedy(tmp_path: Path) -> None:
    path = Path(create(token_path(_env(tmp_path))).source)
    assert looked_at(_env(tmp_path)).state == "ok"
    path.chmod(0o644)
    check = looked_at(_env(tmp_path))
    assert (check.state, check.fix) == ("fail", f"chmod 600 {path}")


def test_a_launchers_file_gives_its_hosts_with_user_and_key(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(
        "provider:\n  type: local\n  head_ip: 10.0.0.1\n  worker_ips: [10.0.0.2, 10.0.0.3]\n"
        "auth:\n  ssh_user: ray\n  ssh_private_key: ~/.ssh/key\n"
    )
    hosts = hosts_of(path)
    assert [h.name for h in hosts] == ["ray@10.0.0.1", "ray@10.0.0.2", "ray@10.0.0.3"]
    assert all(h.identity == "~/.ssh/key" for h in hosts)


@pytest.mark.parametrize("text", ["provider: {type: aws}", "- a", "a: [", ""])
def test_a_file_that_lists_no_hosts_says_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"cluster\.yaml"):
        hosts_of(path)
