"""What is begun in one turn of a loop is handed over together."""

import asyncio
from pathlib import Path

from codetether_ray.audit.log import AuditLog
from tests.adapters.audit.scene import action
from tests.adapters.audit.test_log import lines


async def test_intents_of_two_loops_and_a_close_in_one_turn_are_all_written(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    here = [log.begin(action()) for _ in range(3)]

    async def elsewhere() -> tuple[str, ...]:
        return await log.begin(action())

    there = await asyncio.to_thread(asyncio.run, elsewhere())
    last = log.begin(action())
    await log.close()
    ids = [id for ids in (await asyncio.gather(*here), (there,), (await last,)) for (id,) in ids]
    assert [line["id"] for line in lines(tmp_path)] == ids
