"""The launcher files and deploy/: what Ray, Docker and Kubernetes would make of them."""

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from codetether_ray import __version__
from codetether_ray.actors.private import QUIET
from tests.cluster.nodes import ray_variables

_ROOT = Path(__file__).parents[2]
_DEPLOY = _ROOT / "deploy"
_LAUNCHER = ("cluster.yaml", "cluster-onprem.yaml")


def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((_ROOT / name).read_text())
    return found


def prepared(name: str) -> dict[str, Any]:
    """As `ray up` reads it: defaults filled in, validated against Ray's schema."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    config: dict[str, Any] = prepare_config(load(name))
    validate_config(config)
    return config


def start_options() -> set[str]:
    from ray.scripts.scripts import start

    assert isinstance(start, click.Command)
    return {name for option in start.params for name in option.opts}


@pytest.mark.parametrize("name", _LAUNCHER)
def test_ray_takes_the_launcher_files(name: str) -> None:
    config = prepared(name)
    assert config["max_workers"] > 0
    with pytest.raises(Exception, match="max_wrokers"):
        _spoilt(config)


def _spoilt(config: dict[str, Any]) -> None:
    from ray.autoscaler._private.util import validate_config

    validate_config({**config, "max_wrokers": 1})


@pytest.mark.parametrize("name", _LAUNCHER)
def test_the_start_commands_are_ones_that_this_ray_has(name: str) -> None:
    config = load(name)
    for kind in ("head", "worker"):
        stop, start = config[f"{kind}_start_ray_commands"]
        assert stop == "~/codetether-ray/.venv/bin/ray stop"
        assert ". ~/codetether-ray/deploy/ray.env" in start  # tokens, no uvloop, the fork server
        words = shlex.split(start.partition("/bin/ray ")[2])
        assert words[0] == "start"
        assert {word.partition("=")[0] for word in words[1:]} <= start_options()
        assert ("--head" in words) == (kind == "head")
    for command in config["setup_commands"]:
        for script in re.findall(r"scripts/\w+", command):
            assert (_ROOT / script).stat().st_mode & 0o111
    assert config["file_mounts"] == {
        "~/.ray/auth_token": "~/.ray/auth_token",
        "~/codetether-ray": ".",
    }


def test_the_launcher_files_differ_only_where_clusters_do() -> None:
    aws, own = (load(name) for name in _LAUNCHER)
    common = ("file_mounts", "rsync_exclude", "rsync_filter", "setup_commands")
    assert {key: aws[key] for key in common} == {key: own[key] for key in common}
    assert aws["worker_start_ray_commands"] == own["worker_start_ray_commands"]
    # On machines of one's own the second autoscaler starts no worker.
    switch = "RAY_enable_autoscaler_v2=0 "
    assert (
        own["head_start_ray_commands"][1].replace(switch, "") == aws["head_start_ray_commands"][1]
    )


def test_aws_starts_a_head_that_lasts_and_workers_that_may_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import boto3
    from moto import mock_aws
    from ray.autoscaler._private.aws.config import bootstrap_aws
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        iam = boto3.client("iam")  # which Ray would make, and wait a while
        iam.create_role(RoleName="ray-autoscaler-v1", AssumeRolePolicyDocument="{}")
        iam.create_instance_profile(InstanceProfileName="ray-autoscaler-v1")
        iam.add_role_to_instance_profile(
            InstanceProfileName="ray-autoscaler-v1", RoleName="ray-autoscaler-v1"
        )
        config = bootstrap_aws(prepared("cluster.yaml"))
        config = AWSNodeProvider.fillout_available_node_types_resources(config)
        types = config["available_node_types"]
        launched = {name: types[name]["node_config"] for name in types}
        ec2 = boto3.client("ec2", region_name=config["provider"]["region"])
        groups = ec2.describe_security_groups(GroupNames=["codetether-ray"])["SecurityGroups"]
        ports = {(r.get("FromPort"), len(r["IpRanges"])) for r in groups[0]["IpPermissions"]}
        assert (22, 1) in ports
        assert not [port for port, public in ports if port != 22 and public]
    for node in launched.values():
        assert node["SubnetIds"]
        assert node["SecurityGroupIds"] == [groups[0]["GroupId"]]
        assert node["KeyName"]
    assert "InstanceMarketOptions" not in launched["head"]
    assert launched["agents"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert types["inference"]["labels"] == {"codetether/pool": "inference"}
    assert types["inference"]["resources"]["GPU"] == 1  # found by Ray, from the instance's type
    assert types["agents"]["resources"]["CPU"] == 8


# -- images and Kubernetes ------------------------------------------------------------------------


def test_every_way_of_starting_ray_has_the_same_variables() -> None:
    env = ray_variables()
    kept = {name: value for name, value in QUIET.items() if name in env}
    assert kept | {"CODETETHER_FORK_SERVER": "1"} == env
    text = (_DEPLOY / "Dockerfile").read_text()
    assert env.items() <= dict(re.findall(r"\b([A-Za-z_]+)=(\w+)", text)).items()
    for group in pods().values():
        (container,) = group["template"]["spec"]["containers"]
        said = {each["name"]: each["value"] for each in container["env"]}
        assert said["RAY_memory_monitor_refresh_ms"] == "0"  # whatever image somebody puts there


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.cuda"])
def test_the_images_are_made_from_what_is_here(name: str) -> None:
    text = (_DEPLOY / name).read_text().replace("\\\n", " ")
    for words in re.findall(r"^COPY (.+)$", text, re.MULTILINE):
        *sources, _ = [word for word in words.split() if not word.startswith("--")]
        assert all((_ROOT / source).exists() for source in sources), words
    for path in re.findall(r"requirements/\w+\.txt", text):
        assert (_ROOT / path).exists()
    assert text.rstrip().splitlines()[-1] == 'CMD ["codetether", "--help"]' or "cuda" in name
    assert re.findall(r"^USER (\w+)$", text, re.MULTILINE)[-1] == "ray"
    pins = re.findall(r'"(vllm==[^"]+)"', text)
    assert all(f'"{pin}"' in (_ROOT / "pyproject.toml").read_text() for pin in pins)


def kuberay() -> dict[str, dict[str, Any]]:
    documents = yaml.safe_load_all((_DEPLOY / "kuberay" / "cluster.yaml").read_text())
    return {document["kind"]: document for document in documents}


def pods() -> dict[str, dict[str, Any]]:
    """The groups of the Kubernetes cluster, by name."""
    spec = kuberay()["RayCluster"]["spec"]
    return {"head": spec["headGroupSpec"]} | {g["groupName"]: g for g in spec["workerGroupSpecs"]}


def test_every_pod_has_the_token_as_a_file_and_no_variable_has_it() -> None:
    secret = yaml.safe_load((_DEPLOY / "kuberay" / "token.yaml").read_text())
    assert secret["stringData"] == {"auth_token": ""}
    for name, group in pods().items():
        spec = group["template"]["spec"]
        (container,) = spec["containers"]
        env = {each["name"]: each["value"] for each in container["env"]}
        assert env["RAY_AUTH_MODE"] == "token"
        mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
        assert env["RAY_AUTH_TOKEN_PATH"] == f"{mounts['token']}/auth_token"
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        assert volumes["token"]["secret"]["secretName"] == secret["metadata"]["name"]
        assert set(mounts) == set(volumes), name
        assert "RAY_AUTH_TOKEN" not in env


def test_the_pods_start_ray_as_this_ray_can_be_started() -> None:
    import ray

    cluster = kuberay()["RayCluster"]
    assert cluster["spec"]["rayVersion"] == ray.__version__
    claim = kuberay()["PersistentVolumeClaim"]["metadata"]["name"]
    for name, group in pods().items():
        assert {f"--{key}" for key in group["rayStartParams"]} <= start_options(), name
        (container,) = group["template"]["spec"]["containers"]
        image = "codetether-ray:" + __version__ + ("-cuda" if name == "inference" else "")
        assert container["image"] == image
        limits = container["resources"]["limits"]
        assert limits["memory"] == container["resources"]["requests"]["memory"]
        assert ("nvidia.com/gpu" in limits) == (name == "inference")
        volumes = {v["name"]: v for v in group["template"]["spec"]["volumes"]}
        lasting = volumes["data"].get("persistentVolumeClaim", {}).get("claimName")
        assert lasting == (claim if name == "head" else None)
