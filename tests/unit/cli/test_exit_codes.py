"""Outcomes and errors as exit codes."""

import pytest

from codetether_ray.cli import exit_codes


@pytest.mark.parametrize(
    ("outcome", "kind", "code"),
    [
        ("completed", "", 0),
        ("success", "", 0),
        ("partial", "", 1),
        ("max_steps", "", 1),
        ("budget", "BudgetSpentError", 1),
        ("stuck", "", 1),
        ("timeout", "", 1),
        ("waiting", "QuotaSpentError", 1),
        ("needs_decision", "", 3),
        ("cancelled", "", 130),
        ("failed", "", 1),
        ("failed", "CredentialsError", 4),
        ("failed", "NoModelError", 4),
        ("failed", "ModelRefusedError", 1),
        ("failed", "ClassVar", 1),
        ("something new", "", 1),
    ],
)
def test_only_success_ends_with_0(outcome: str, kind: str, code: int) -> None:
    assert exit_codes.of_outcome(outcome, kind) == code
