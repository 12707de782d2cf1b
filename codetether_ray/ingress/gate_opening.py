"""Opens the gate of an ingress: its tokens, its policy, its audit log."""

import os

from codetether_ray.bootstrap.auditing.requests import RECORD, REST, Row
from codetether_ray.bootstrap.policies import open_policy
from codetether_ray.bootstrap.tokens import TruthTokens
from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.ingress.gate_keeper import Gate
from codetether_ray.ingress.gate_proxies import Proxies
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.ingress.request_log import BatchedLog


async def open_gate(options: IngressOptions, reach: Reach) -> Gate:
    """The gate; whoever opens it awaits its `close`.

    The server's own token is CODETETHER_AUTH_TOKEN of this process, else what the truth's data
    directory has. Named tokens are there as well. See `open_policy` for what decides.

    Raises:
        ConfigError: a token, a proxy or the sidecar's address is not what it must be.
        ClusterError: the head does not answer.
    """
    truth = reach.truth
    proxies = Proxies(options.trusted_proxies)
    tokens = TruthTokens(truth)
    await tokens.read()
    policy = await open_policy(truth, os.environ)

    async def write(rows: list[Row]) -> None:
        await truth.ask(RECORD, rows)

    async def rest() -> None:
        await truth.ask(REST)

    return Gate(
        tokens,
        policy,
        log=BatchedLog(write, rest),
        proxies=proxies,
        is_card_private=options.is_card_private,
        closing=tokens.close,
    )
