"""OKRs on a cluster of several nodes: one store, on the head, whatever node it is asked from."""

import asyncio

import pytest

from tests.cluster.nodes import HEAD, Nodes
from tests.unit.okr.okrs import OBJECTIVE


@pytest.mark.matrix
async def test_an_okr_of_one_node_is_decided_once_by_two_others(nodes: Nodes) -> None:
    first, second = (name for name in nodes.nodes if name != HEAD)
    seats = [nodes.program(f"okr-{name}", on=name) for name in (first, second)]
    words = ("okr", "create", "--from", "-", "--json")
    made = await seats[0].run(*words, stdin=OBJECTIVE)
    assert made.code == 0, made.err
    okr_id, run_id = made.json["id"], made.json["run"]["id"]
    assert (nodes.head.data / "okr.db").is_file()
    assert not any((nodes.nodes[name].data / "okr.db").exists() for name in (first, second))

    decide = ("--id", run_id, "--json")
    ended = await asyncio.gather(
        seats[0].run("okr", "approve", "--yes", *decide), seats[1].run("okr", "deny", *decide)
    )
    shown = await nodes.program("okr-head").run("okr", "status", "--id", okr_id, "--json")
    assert shown.code == 0, shown.err
    (run,) = shown.json["runs"]
    assert run["status"] in ("approved", "denied"), (ended[0].err, ended[1].err)
    won = 0 if run["status"] == "approved" else 1
    assert f"it is {run['status']}" in ended[1 - won].err
    unknown = await seats[1].run("okr", "status", "--id", "nothing-of-the-kind")
    assert (unknown.code, unknown.out) == (2, "")
    assert "nothing-of-the-kind" in unknown.err
