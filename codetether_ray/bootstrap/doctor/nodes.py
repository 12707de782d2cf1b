"""What the facts of a cluster's nodes mean: a line for each that is well, one for each trouble."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from codetether_ray.actors.examined import Examined
from codetether_ray.actors.versions import Versions, mismatch, remedy
from codetether_ray.bootstrap.clocks import SKEW_S
from codetether_ray.bootstrap.doctor.check import Check
from codetether_ray.bootstrap.doctor.machine import git_check

_SHORT_BYTES, _NONE_BYTES = 2 * 1024**3, 64 * 1024**2
_LOW_BYTES = 512 * 1024**2


def judge(nodes: Sequence[Examined], mine: Versions, token: str = "") -> Iterator[Check]:
    """All checks of all nodes; `token` is the fingerprint of the one that this program uses."""
    names = _names(nodes)
    for node in nodes:
        if node.trouble:
            yield Check(
                name="node",
                state="fail",
                detail=node.trouble,
                fix=_fix_of_lost(node, mine),
                node=names[node.id],
            )
            continue
        found = list(_of_node(node, names[node.id], mine, token))
        if not found:
            yield Check(name="node", state="ok", detail=_summary(node), node=names[node.id])
        yield from found
    yield from _clocks(nodes, names)


def _names(nodes: Sequence[Examined]) -> dict[str, str]:
    """What a person calls each: its host; where two are of one host, its address as well."""
    hosts = [node.host for node in nodes]
    addresses = [node.address for node in nodes]

    def name(node: Examined) -> str:
        if hosts.count(node.host) == 1:
            return node.host
        if addresses.count(node.address) == 1:
            return f"{node.host} {node.address}"
        return f"{node.host} {node.id[:8]}"

    return {node.id: name(node) for node in nodes}


def _fix_of_lost(node: Examined, mine: Versions) -> str:
    if "not installed" in node.trouble:
        return f"there: `{remedy(mine, mine)}`"
    return "see that host's Ray logs (/tmp/ray/session_latest/logs), or start its Ray again"


def _of_node(node: Examined, name: str, mine: Versions, token: str) -> Iterator[Check]:
    """What is not well."""
    found = node.facts
    say: Callable[..., Check] = partial(Check, node=name)
    differs = mismatch(Versions(**found["versions"]), "it", mine)
    if differs:
        yield say(
            name="versions", state="fail", detail=differs.partition(";")[0], fix=_both(found, mine)
        )
    git = git_check(found["git"]["version"], found["git"]["identity"])
    if git.state != "ok":
        yield say(name="git", state=git.state, detail=git.detail, fix=git.fix)
    yield from _token(node, token, say)
    yield from _disk(node, say)
    free = found["memory"]["free"]
    if free < _LOW_BYTES:
        fix = "end something there; its agents wait until there is room"
        yield say(name="memory", state="warn", detail=f"{free / 1e9:.1f} GB free", fix=fix)
    yield from _unreachable(node, say)


def _both(found: Mapping[str, Any], mine: Versions) -> str:
    """Either side may be changed; a cluster of many nodes is the more expensive one."""
    theirs = Versions(**found["versions"])
    return f"here `{remedy(theirs, mine)}`, or there `{remedy(mine, theirs)}`"


def _token(node: Examined, token: str, say: Callable[..., Check]) -> Iterator[Check]:
    """The file that its Ray would read at its next start; the running one has been let in."""
    found = node.facts["token"]
    if not token or found["fingerprint"] == token:
        return
    spread = f"`codetether token spread {node.address}`"
    if not found["fingerprint"]:
        words = f"it has none at {found['source']}: its Ray will not be let in after a restart"
    else:
        words = f"{found['source']} holds another ({found['fingerprint']}, here {token})"
    yield say(name="ray token", state="warn", detail=words, fix=spread)


def _disk(node: Examined, say: Callable[..., Check]) -> Iterator[Check]:
    disk = node.facts["disk"]
    if disk["error"]:
        words = f"{disk['path']} cannot be written: {disk['error']}"
        fix = "make room there, or set CODETETHER_DATA_DIR for that node's Ray"
        yield say(name="disk", state="fail", detail=words, fix=fix)
        return
    if disk["troubles"]:
        words = f"{disk['path']}: {'; '.join(disk['troubles'])}"
        fix = "set CODETETHER_DATA_DIR for that node's Ray to a directory on a local disk"
        yield say(name="disk", state="fail", detail=words, fix=fix)
    if disk["free"] < _SHORT_BYTES:
        state = "warn" if disk["free"] >= _NONE_BYTES else "fail"
        words = f"{disk['free'] / 1e9:.2f} GB at {disk['path']}"
        fix = "make room there: `codetether cleanup`; caches of repositories lie there too"
        yield say(name="free space", state=state, detail=words, fix=fix)


def _unreachable(node: Examined, say: Callable[..., Check]) -> Iterator[Check]:
    peers, urls = node.facts["peers"], {u: w for u, w in node.facts["urls"].items() if w}
    if peers:
        words = ", ".join(f"{address} ({why})" for address, why in list(peers.items())[:3])
        fix = "open those ports between the nodes (`ray start --node-manager-port …`)"
        yield say(name="ports", state="fail", detail=f"it cannot reach {words}", fix=fix)
    if urls:
        words = ", ".join(f"{url} ({why})" for url, why in urls.items())
        fix = "agents there cannot ask that model: see its network and proxy"
        yield say(name="providers", state="fail", detail=f"it cannot reach {words}", fix=fix)


def _clocks(nodes: Sequence[Examined], names: dict[str, str]) -> Iterator[Check]:
    """How far apart the clocks are, and whose differs from the head's."""
    seen = [node for node in nodes if not node.trouble]
    if not seen:
        return
    head = next((node for node in seen if node.is_head), seen[0])
    apart = max(n.ahead_s for n in seen) - min(n.ahead_s for n in seen)
    wrong = [n for n in seen if abs(n.ahead_s - head.ahead_s) - n.within_s > SKEW_S]
    for node in wrong:
        ahead = node.ahead_s - head.ahead_s
        words = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the head's"
        fix = "set it there: `timedatectl set-ntp true`, or chrony"
        yield Check(name="clock", state="fail", detail=words, fix=fix, node=names[node.id])
    if abs(head.ahead_s) - head.within_s > SKEW_S:
        way = "behind" if head.ahead_s > 0 else "ahead of"
        words = f"this machine's is {abs(head.ahead_s):.0f} s {way} the cluster's head"
        fix = "set it here: `timedatectl set-ntp true`, or chrony"
        yield Check(name="clock", state="fail", detail=words, fix=fix)
    elif not wrong:
        words = f"the nodes' are at most {apart:.1f} s apart"
        yield Check(name="clock", state="ok", detail=words)


def _summary(node: Examined) -> str:
    found = node.facts
    who = "head, " if node.is_head else ""
    return (
        f"{who}{node.address}, {Versions(**found['versions'])}, git {found['git']['version']}, "
        f"{found['disk']['free'] / 1e9:.1f} GB of disk and {found['memory']['free'] / 1e9:.1f} GB "
        "of memory free"
    )
