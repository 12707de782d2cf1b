"""What is said where a cluster runs other versions."""

import pytest

from codetether_ray.actors.joining import worded
from codetether_ray.actors.versions import Versions, demand_match, from_ray, mismatch, told
from codetether_ray.core.errors import ClusterError

_OURS = Versions(ray="2.60.0", python="3.11.7", package="0.1.0")
_REFUSED = """Version mismatch: The cluster was started with:
    Ray: 2.59.1
    Python: 3.11.9
This process on 10.0.0.7 was started with:
    Ray: 2.60.0
    Python: 3.11.7
"""


def test_versions_that_agree_or_are_not_known_say_nothing() -> None:
    assert mismatch(_OURS, "it", _OURS) == ""
    assert mismatch(Versions(), "it", _OURS) == ""


def test_what_differs_is_one_sentence_with_the_command_that_mends_it() -> None:
    theirs = Versions(ray="2.60.0", python="3.11.9", package="0.1.0")
    assert mismatch(theirs, "the cluster at h:1", _OURS) == (
        "the cluster at h:1 runs Python 3.11.9 (here 3.11.7); make this machine the same: "
        "`uv tool install --force --python 3.11.9 --with 'ray[default,serve]==2.60.0' "
        "'codetether-ray==0.1.0'`"
    )


def test_rays_own_refusal_gives_the_cluster_s_versions() -> None:
    assert from_ray(_REFUSED) == Versions(ray="2.59.1", python="3.11.9")
    sentence = str(worded(RuntimeError(_REFUSED), "10.0.0.5:6379"))
    assert sentence.startswith("the cluster at 10.0.0.5:6379 runs Ray 2.59.1 (here ")
    assert "\n" not in sentence
    assert "--python 3.11.9" in sentence


def test_a_node_with_this_program_fits_and_one_with_another_does_not() -> None:
    demand_match(told(), "the head")
    with pytest.raises(ClusterError, match=r"the head runs codetether-ray 9\.9"):
        demand_match(told() | {"package": "9.9"}, "the head")
