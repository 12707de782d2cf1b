"""An S3 server (moto), a rough road to it, and runs to send there."""

import logging
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from codetether_ray.archive.s3 import S3Place, S3Store
from tests.adapters.archive.rough import RoughRoad


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def road(moto_url: str) -> Iterator[RoughRoad]:
    road = RoughRoad(moto_url)
    yield road
    road.close()


@pytest.fixture
def place(road: RoughRoad) -> S3Place:
    place = S3Place(
        bucket=f"b-{uuid.uuid4().hex[:12]}",
        prefix="events/",
        endpoint=road.url,
        access_key="id",
        secret_key="secret",
        timeout_s=5,
    )
    S3Store(place)._client().create_bucket(Bucket=place.bucket)
    return place


@pytest.fixture
def store(place: S3Place) -> S3Store:
    return S3Store(place)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder
