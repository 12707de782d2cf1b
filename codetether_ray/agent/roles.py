"""The agents of a run, made of its template: who they are, and where they work."""

from collections.abc import Mapping
from dataclasses import replace

from codetether_ray.core.spec import AgentKind, AgentSpec
from codetether_ray.ports.workspace import Tree


def in_role(
    template: AgentSpec,
    path: str,
    kind: AgentKind,
    name: str,
    role: str,
    tools: Mapping[AgentKind, tuple[str, ...]],
) -> AgentSpec:
    """An agent of the run, which itself is the root of the tree; no form of answer is asked for."""
    extra = f"\n{template.instructions}" if template.instructions else ""
    return replace(
        template,
        path=path,
        kind=kind,
        name=name,
        instructions=f"{role}{extra}",
        tools=tools.get(kind, ()),
        depth=1,
        output_schema=None,
    )


def beside(spec: AgentSpec, tree: Tree) -> AgentSpec:
    """A spec whose agent works in `tree`, which is not its own: others put it back."""
    env = {**dict(spec.env), **tree.env}
    return replace(spec, root=str(tree.path), env=tuple(sorted(env.items())), hub=tree.hub)


def in_tree(spec: AgentSpec, tree: Tree) -> AgentSpec:
    """A spec whose agent works in `tree`, its own: what its steps leave there is kept."""
    return replace(beside(spec, tree), tree=spec.path)
