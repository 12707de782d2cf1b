"""What every directory promises."""

from codetether_ray.ports.directory import AgentCard, Directory


def card(name: str, run_id: str = "") -> AgentCard:
    return AgentCard(name=name, url=f"bus://local/{name}", run_id=run_id, capabilities=("code",))


class DirectoryContract:
    """Give a fixture `directory`, empty of the names used here."""

    async def test_an_announced_agent_is_found_with_its_card(self, directory: Directory) -> None:
        await directory.announce(card("a", "swm_1"))
        found = await directory.find("a")
        assert found is not None
        assert found.card == card("a", "swm_1")
        assert found.is_alive
        assert await directory.find("nobody") is None

    async def test_agents_are_listed_by_name_and_by_run(self, directory: Directory) -> None:
        for name, run in (("c", "swm_2"), ("a", "swm_2"), ("b", "swm_3")):
            await directory.announce(card(name, run))
        assert [p.card.name for p in await directory.list("swm_2")] == ["a", "c"]
        names = [p.card.name for p in await directory.list()]
        assert names == sorted(names)
        assert {"a", "b", "c"} <= set(names)

    async def test_who_withdraws_is_gone(self, directory: Directory) -> None:
        await directory.announce(card("w"))
        await directory.withdraw("w")
        await directory.withdraw("w")
        assert await directory.find("w") is None

    async def test_who_does_not_renew_is_not_alive(self, directory: Directory) -> None:
        await directory.announce(card("late"), lease_s=-1.0)
        found = await directory.find("late")
        assert found is not None
        assert not found.is_alive
        await directory.announce(card("late"))
        found = await directory.find("late")
        assert found is not None
        assert found.is_alive
