"""Generated code is what its sources generate."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_generated_messages_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/gen_protos", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "up to date\n"), done.stdout + done.stderr


def test_each_rpc_has_its_permission() -> None:
    from codetether_ray.ingress.permissions import of_grpc
    from codetether_ray.pb.codetether.v1.control_pb2 import DESCRIPTOR

    (service,) = DESCRIPTOR.services_by_name.values()
    for method in service.methods:
        assert of_grpc(f"/{service.full_name}/{method.name}"), method.name
