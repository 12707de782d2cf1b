"""An ingress' options as plain values."""

from dataclasses import asdict
from typing import Any

import pytest

from codetether_ray.core.errors import ConfigError, UsageError
from codetether_ray.ingress.checks import options_of, settled
from codetether_ray.ingress.options import IngressOptions


def test_options_come_back_from_plain_values() -> None:
    given = IngressOptions(port=5000, cors_origins=("https://a",), is_spread=True)
    values = asdict(given) | {"cors_origins": ["https://a"]}  # as YAML and JSON have it
    assert options_of(values) == given
    assert options_of({}) == IngressOptions()
    assert options_of({"keep_tasks_days": 3, "max_steps": None}).keep_tasks_days == 3.0


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"prot": 1}, "prot"),
        ({"port": "4096"}, "int"),
        ({"port": True}, "int"),
        ({"cors_origins": "https://a"}, "tuple"),
        ({"cors_origins": [1]}, "tuple"),
        ({"is_spread": 1}, "bool"),
        ({"max_steps": "many"}, "int or nothing"),
    ],
)
def test_what_is_no_option_is_refused_by_name(values: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        options_of(values)


def test_one_port_for_both_is_refused() -> None:
    with pytest.raises(UsageError, match="4097"):
        settled(IngressOptions(port=4097, grpc_port=4097))


def test_half_a_certificate_is_refused() -> None:
    with pytest.raises(ConfigError, match="--tls-key"):
        settled(IngressOptions(tls_certificate="/nowhere/cert.pem"))
    with pytest.raises(ConfigError, match="No such file"):
        settled(IngressOptions(tls_certificate="/nowhere/cert.pem", tls_key="/nowhere/key.pem"))


def test_replicas_of_several_nodes_cannot_have_one_nodes_address() -> None:
    with pytest.raises(ConfigError, match="give --hostname"):
        settled(IngressOptions(is_spread=True, hostname="192.0.2.7"))
    for host in ("0.0.0.0", "127.0.0.1"):
        chosen = settled(IngressOptions(is_spread=True, hostname=host, port=0, grpc_port=0))
        assert chosen.port
