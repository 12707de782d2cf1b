"""Requests made from the API's own description, and against it: answered as it says, never 5xx."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from codetether_ray.ingress.options import IngressOptions
from tests.adapters.ingress.scene import ECHO, Open

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance,response_headers_conformance"
)
ENDLESS = "/v1/worker/tasks/stream"
PROGRAM = Path(sys.executable).with_name("schemathesis")


async def attacked(opens: Open, folder: Path, *how: str) -> tuple[int, str]:
    """How many requests schemathesis made of the whole ingress, and what it says at the end."""
    opened = await opens(IngressOptions(port=0, grpc_port=0, agents=ECHO))
    process = await asyncio.create_subprocess_exec(
        str(PROGRAM), "run", f"{opened.url}/openapi.json",
        *("-H", f"Authorization: Bearer {opened.token}", "--checks", CHECKS),
        *how,
        *("--continue-on-failure", "--request-timeout", "20", "--no-color"),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    text = said.decode().replace(opened.token, "TOKEN")
    assert process.returncode == 0, text[-6000:]
    made = re.search(r"(\d[\d,]*) generated", text)
    assert made is not None, text[-3000:]
    return int(made.group(1).replace(",", "")), text


async def test_some_hundred_hostile_requests_are_answered_as_described_and_never_by_a_fault(
    opens: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    how = ("--phases", "fuzzing", "-n", "3", "--exclude-path", ENDLESS)
    made, _ = await attacked(opens, tmp_path, *how)
    assert made >= 100
    assert not [one for one in caplog.records if "unforeseen" in one.getMessage()]


@pytest.mark.full
async def test_ten_thousand_hostile_requests_are_answered_as_described_and_never_by_a_fault(
    opens: Open, tmp_path: Path
) -> None:
    made, text = await attacked(
        opens, tmp_path, *("--phases", "coverage,fuzzing", "-n", "150", "--max-time", "1800")
    )
    assert made >= 10_000, text[-3000:]
