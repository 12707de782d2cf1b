"""What a verification found, and what nobody could have seen."""

from dataclasses import dataclass, field

from codetether_ray.audit.lines import Head
from codetether_ray.core.codec import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it was written."""

    node: str
    chain: str
    text: str
    line: int | None = None

    def to_json(self) -> JsonObject:
        """As `audit verify --json` prints it."""
        return {"node": self.node, "chain": self.chain, "line": self.line, "text": self.text}


@dataclass(slots=True)
class Report:
    """What was verified, what is wrong, and what nobody could have seen."""

    chains: int = 0
    lines: int = 0
    checkpoints: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is worth knowing and no fault: a process that was killed, say."""
    unsigned_lines: int = 0
    """Lines behind the last checkpoint of their chain."""
    unclosed: int = 0
    """Chains whose process ended without closing them."""
    open: int = 0
    """Chains that are being written."""
    alone: int = 0
    """Checkpoints in a chain that have no file apart from it."""
    retired: int = 0
    """Chains of which a signed roll-up alone is left."""
    is_pinned: bool = False
    ends: dict[tuple[str, str], Head] = field(default_factory=dict)
    """How each chain ended that nobody writes any more, by its node and name."""
    begun: float | None = None
    """When the oldest chain that is known of began, in seconds since the epoch."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def unseen(self) -> list[str]:
        """What this verification cannot see, in sentences."""
        words = []
        if self.unsigned_lines:
            words.append(
                f"{self.unsigned_lines} lines stand behind the last checkpoint of their chain: "
                "whether more stood there, nobody can tell"
            )
        if self.unclosed:
            words.append(
                f"{self.unclosed} chains were not closed (their processes were killed): a tail cut "
                "off, with the checkpoints of it, looks the same"
            )
        if self.alone:
            words.append(
                f"{self.alone} checkpoints stand in their chains alone: their files were taken "
                "away, or their processes were killed before they wrote them"
            )
        if self.retired:
            words.append(
                f"{self.retired} chains were retired: a signed roll-up has their length and their "
                "last line's hash, nobody their lines"
            )
        if not self.is_pinned:
            words.append(
                "the public keys came from the same directory: whoever may write there can have "
                "signed everything anew; give a copy kept elsewhere with --key"
            )
        words.append(
            "a newest chain taken away together with its line in the index and its checkpoints "
            "leaves no trace here: compare with checkpoints kept elsewhere (--checkpoints)"
        )
        return words

    def to_json(self) -> JsonObject:
        """As `audit verify --json` prints it."""
        return {
            "success": self.is_sound,
            "chains": self.chains,
            "lines": self.lines,
            "checkpoints": self.checkpoints,
            "open": self.open,
            "retired": self.retired,
            "findings": [finding.to_json() for finding in self.findings],
            "notes": list(self.notes),
            "unseen": list(self.unseen),
        }
