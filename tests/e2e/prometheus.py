"""A real Prometheus that scrapes a Ray cluster, as `deploy/prometheus.yml` has it, only faster."""

import asyncio
import json
import re
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

PROGRAM = shutil.which("prometheus") or ""
"""Path of Prometheus; empty where there is none."""

DEPLOY = Path(__file__).parents[2] / "deploy"
_HOME_FILE = re.compile(r"- /root/\S+/ray/prometheus\.json")


class Prometheus:
    """One Prometheus, asked over HTTP."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    async def ask(self, expression: str) -> list[dict[str, Any]]:
        """The samples that an expression gives now."""
        params = {"query": expression}
        async with self._session.get(f"{self.url}/api/v1/query", params=params) as answer:
            told = json.loads(await answer.text())
        assert told["status"] == "success", (expression, told)
        return list(told["data"]["result"])

    async def value(self, expression: str) -> float:
        """The one number that an expression gives; 0 where it gives nothing."""
        found = await self.ask(expression)
        return sum(float(sample["value"][1]) for sample in found)

    async def until(self, expression: str, least: float, patience_s: float = 300) -> None:
        """Wait until an expression gives so much."""
        async with asyncio.timeout(patience_s):
            while await self.value(expression) < least:
                await asyncio.sleep(0.5)


@asynccontextmanager
async def scraping(folder: Path, discovery: Path) -> AsyncIterator[Prometheus]:
    """A Prometheus that finds its targets in the file `discovery`; it keeps its own in `folder`."""
    text = (DEPLOY / "prometheus.yml").read_text()
    assert _HOME_FILE.search(text), "the configuration names a head's file no more"
    text = _HOME_FILE.sub(f"- {discovery}", text).replace("_interval: 10s", "_interval: 1s")
    config = folder / "prometheus.yml"
    config.write_text(text)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession() as session:
            found = Prometheus(f"http://127.0.0.1:{port}", session)
            await _ready(found, session)
            yield found
    finally:
        process.terminate()
        await process.wait()


async def _ready(found: Prometheus, session: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(180):
        while True:
            try:
                async with session.get(f"{found.url}/-/ready") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)


def expressions(dashboard: Path) -> Iterator[tuple[str, str]]:
    """Each panel's title and each of its expressions, with Grafana's interval filled in."""
    panels = list(json.loads(dashboard.read_text())["panels"])
    while panels:
        panel = panels.pop(0)
        panels += panel.get("panels", [])
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m")
