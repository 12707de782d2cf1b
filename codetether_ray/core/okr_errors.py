"""What goes wrong with OKRs: not sound, not known, not approved, changed meanwhile."""

from codetether_ray.core.root_error import CodetetherError


class InvalidOkrError(CodetetherError):
    """An OKR, or a draft of one, is not sound: where, and what is wrong."""

    exit_code = 2

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(where, problem)
        self.where, self.problem = where, problem

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}" if self.where else self.problem


class DraftingFailedError(CodetetherError):
    """No objective could be drafted, through no fault of the intent: the turn did not end well.

    `outcome` and `error_kind` are the turn's.
    """

    def __init__(self, outcome: str, detail: str, error_kind: str = "") -> None:
        super().__init__(outcome, detail, error_kind)
        self.outcome, self.detail, self.error_kind = outcome, detail, error_kind

    def __str__(self) -> str:
        why = self.detail or "it gave no reason"
        return f"no OKR was drafted: the drafter ended with {self.outcome} ({why})"


class UnknownOkrError(CodetetherError):
    """There is no such OKR, or run of one."""

    exit_code = 2

    def __init__(self, id: str, what: str = "OKR or run") -> None:
        super().__init__(id, what)
        self.id, self.what = id, what

    def __str__(self) -> str:
        return (
            f"no {self.what} {self.id!r}; `codetether okr list` and `okr runs` show what there is"
        )


class OkrTransitionError(CodetetherError):
    """A run of an OKR cannot become what was asked, being what it is."""

    def __init__(self, run_id: str, status: str, verb: str, detail: str = "") -> None:
        super().__init__(run_id, status, verb, detail)
        self.run_id, self.status, self.verb, self.detail = run_id, status, verb, detail

    def __str__(self) -> str:
        more = f" ({self.detail})" if self.detail else ""
        status = self.status.replace("_", " ")
        return f"run {self.run_id} cannot be {self.verb}: it is {status}{more}"


class NotApprovedError(OkrTransitionError):
    """A run shall begin that nobody approved."""

    def __str__(self) -> str:
        return (
            f"run {self.run_id} was not approved, so it cannot be {self.verb}; "
            f"`codetether okr approve --id {self.run_id}` approves it"
        )


class OkrChangedError(CodetetherError):
    """What somebody decided on is not what is stored: it was changed meanwhile."""

    def __init__(self, id: str, seen: int, stored: int) -> None:
        super().__init__(id, seen, stored)
        self.id, self.seen, self.stored = id, seen, stored

    def __str__(self) -> str:
        return (
            f"OKR {self.id} was changed meanwhile (version {self.stored}; yours is {self.seen}); "
            f"look at it again with `codetether okr status --id {self.id}`"
        )


class OkrStoreError(CodetetherError):
    """The store of OKRs cannot be read or written."""
