"""What the facts of a cluster's nodes are judged to mean."""

import copy
from typing import Any

from codetether_ray.actors.examined import Examined
from codetether_ray.actors.versions import Versions
from codetether_ray.bootstrap.doctor.check import Check
from codetether_ray.bootstrap.doctor.nodes import judge

_OURS = Versions(ray="2.60.0", python="3.11.7", package="0.1.0")
_WELL: dict[str, Any] = {
    "versions": {"ray": "2.60.0", "python": "3.11.7", "package": "0.1.0"},
    "git": {"version": "2.39.5", "identity": ""},
    "token": {"fingerprint": "aaaa", "source": "/home/ray/.ray/auth_token"},
    "disk": {
        "path": "/data",
        "error": "",
        "troubles": [],
        "free": 50 * 1024**3,
        "kind": "ext4",
        "warning": "",
    },
    "memory": {"total": 8 * 1024**3, "free": 4 * 1024**3},
    "urls": {"https://model.test": ""},
    "peers": {},
}


def _node(name: str, **more: Any) -> Examined:
    return Examined(
        **{
            "id": f"{name}-id",
            "host": name,
            "address": f"10.0.0.{len(name)}",
            "is_head": name == "head",
            "facts": _WELL,
            **more,
        }
    )


def _facts(**changed: Any) -> dict[str, Any]:
    facts = copy.deepcopy(_WELL)
    for name, value in changed.items():
        facts[name] |= value
    return facts


def _judged(*nodes: Examined, token: str = "aaaa") -> list[Check]:
    return list(judge(nodes, _OURS, token))


def _bad(*nodes: Examined, token: str = "aaaa") -> list[tuple[str, str, str]]:
    return [(c.node, c.name, c.state) for c in _judged(*nodes, token=token) if c.state != "ok"]


def test_nodes_that_are_well_take_one_line_each_and_one_for_the_clocks() -> None:
    found = _judged(_node("head"), _node("worker"))
    assert [(c.name, c.node, c.state) for c in found] == [
        ("node", "head", "ok"),
        ("node", "worker", "ok"),
        ("clock", "", "ok"),
    ]
    assert "Ray 2.60.0, Python 3.11.7, codetether-ray 0.1.0" in found[0].detail


def test_a_patch_level_of_python_that_differs_is_told_with_a_command_for_either_side() -> None:
    other = _facts(versions={"python": "3.11.9"})
    check = next(c for c in _judged(_node("head"), _node("w", facts=other)) if c.state == "fail")
    assert check.name == "versions"
    assert check.node == "w"
    assert check.detail == "it runs Python 3.11.9 (here 3.11.7)"
    assert "--python 3.11.9" in check.fix.partition(", or there ")[0]
    assert "--python 3.11.7" in check.fix.partition(", or there ")[2]


def test_a_node_without_git_without_room_or_with_another_token_is_named() -> None:
    nodes = (
        _node("head"),
        _node("no-git", facts=_facts(git={"version": ""})),
        _node("full", facts=_facts(disk={"error": "No space left on device", "free": 0})),
        _node("short", facts=_facts(disk={"free": 1024**3})),
        _node("forgot", facts=_facts(token={"fingerprint": ""})),
        _node("other", facts=_facts(token={"fingerprint": "bbbb"})),
        _node("busy", facts=_facts(memory={"free": 100})),
    )
    assert _bad(*nodes) == [
        ("no-git", "git", "fail"),
        ("full", "disk", "fail"),
        ("short", "free space", "warn"),
        ("forgot", "ray token", "warn"),
        ("other", "ray token", "warn"),
        ("busy", "memory", "warn"),
    ]


def test_without_a_token_of_ones_own_nothing_is_said_of_the_nodes_tokens() -> None:
    assert _bad(_node("head", facts=_facts(token={"fingerprint": ""})), token="") == []


def test_a_clock_that_is_an_hour_off_is_told_in_seconds_and_whose_it_is() -> None:
    checks = _judged(_node("head"), _node("late", ahead_s=-3600.2), _node("w", ahead_s=30.0))
    wrong = [c for c in checks if c.state == "fail"]
    assert [(c.node, c.detail) for c in wrong] == [("late", "3600 s behind the head's")]


def test_a_driver_whose_clock_is_off_is_told_so_not_the_nodes() -> None:
    checks = _judged(_node("head", ahead_s=90.0), _node("w", ahead_s=91.0))
    wrong = [c for c in checks if c.state == "fail"]
    assert [(c.node, c.detail) for c in wrong] == [
        ("", "this machine's is 90 s behind the cluster's head")
    ]


def test_a_slow_answer_is_no_wrong_clock() -> None:
    assert _bad(_node("head"), _node("w", ahead_s=65.0, within_s=10.0)) == []


def test_a_node_that_does_not_answer_is_told_and_the_others_are_judged() -> None:
    lost = _node("w", facts={}, trouble="codetether-ray is not installed in its Python")
    checks = _judged(_node("head"), lost)
    assert [(c.node, c.state) for c in checks if c.name == "node"] == [
        ("head", "ok"),
        ("w", "fail"),
    ]
    fix = next(c.fix for c in checks if c.state == "fail")
    assert "codetether-ray==0.1.0" in fix


def test_what_a_node_cannot_reach_is_told() -> None:
    facts = _facts(peers={"10.0.0.9:8076": "no answer"}, urls={"https://model.test": "no answer"})
    assert _bad(_node("head"), _node("w", facts=facts)) == [
        ("w", "ports", "fail"),
        ("w", "providers", "fail"),
    ]


def test_two_nodes_of_one_host_are_told_apart() -> None:
    a, b = _node("h", id="one", address="10.0.0.1"), _node("h", id="two", address="10.0.0.2")
    assert [c.node for c in _judged(a, b)] == ["h 10.0.0.1", "h 10.0.0.2", ""]
