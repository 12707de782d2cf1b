"""A real agent behind the ingress, on the cluster: it works, and its conversation goes on."""

from pathlib import Path

import pytest

from codetether_ray.actors.cluster import Cluster
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, say
from tests.ingress.scene import call as ask
from tests.ingress.scene import message, served, text_of


@pytest.mark.matrix
async def test_a_message_is_an_agent_s_turn_and_the_next_one_goes_on(
    cluster: Cluster, head_data_dir: Path, home: Path
) -> None:
    seen: list[str] = []

    def script(asked: ModelCall) -> Reply:
        words = repr(asked.messages)
        seen.append(words)
        if "and then?" in words:
            return say("then I was done")
        if asked.step == 0:
            return call("bash", command="echo $((6 * 7))")
        return say("it is 42" if "42" in words else "no result was seen")

    async with ModelServer(script) as server:
        write_settings(home, server.url)
        agents = IngressOptions().agents
        async with (
            served(cluster, head_data_dir, replicas=1, agents=agents, model="local/m") as door,
            door.client() as client,
        ):
            done = (await ask(client, "SendMessage", message("what is 6 * 7?")))["task"]
            assert done["status"]["state"] == "TASK_STATE_COMPLETED", done
            assert text_of(done["artifacts"][0]) == "it is 42"
            more = message("and then?", contextId=done["contextId"])
            again = (await ask(client, "SendMessage", more))["task"]
            assert text_of(again["artifacts"][0]) == "then I was done"
            assert again["id"] != done["id"]
    assert "what is 6 * 7?" in seen[-1]  # the model was told the first turn


def write_settings(home: Path, url: str) -> None:
    """The local provider of this user, where the head's processes find it."""
    path = home / ".config" / "codetether-agent" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'[providers.local]\nbase_url = "{url}"\n', encoding="utf-8")
