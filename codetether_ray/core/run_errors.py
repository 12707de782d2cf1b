"""What goes wrong with a run: its cluster, its journal, who may write it."""

from codetether_ray.core.root_error import CodetetherError


class ClusterError(CodetetherError):
    """Ray could not be started or joined; the sentence says what to do."""


class RunLostError(ClusterError):
    """The process that a run lived in died; its journal has what was finished."""

    def __init__(self, run_id: str, reason: str, go_on: str = "") -> None:
        super().__init__(run_id, reason, go_on)
        self.run_id, self.reason, self.go_on = run_id, reason, go_on

    def __str__(self) -> str:
        how = f"; go on with: {self.go_on}" if self.go_on else ""
        return (
            f"the supervisor of {self.run_id} is gone ({self.reason}) and its agents with it; "
            f"finished work is kept{how}"
        )


class JournalError(CodetetherError):
    """The journal could not be written; nothing unacknowledged is promised."""


class JournalCorruptError(JournalError):
    """Bytes in the middle of a journal are damaged."""

    def __init__(self, run_id: str, segment: str, offset: int, detail: str) -> None:
        super().__init__(run_id, segment, offset, detail)
        self.run_id, self.segment, self.offset, self.detail = run_id, segment, offset, detail

    def __str__(self) -> str:
        where = f"at byte {self.offset} of {self.segment}"
        return f"the journal of {self.run_id} is damaged {where}: {self.detail}"


class HistoryError(JournalError):
    """An agent's recorded events contradict each other."""

    def __init__(self, agent: str, detail: str) -> None:
        super().__init__(agent, detail)
        self.agent, self.detail = agent, detail

    def __str__(self) -> str:
        return f"the history of agent {self.agent} is not sound: {self.detail}"


class RunBusyError(JournalError):
    """Another process writes this run; `stale_s` is how long it may be silent."""

    def __init__(self, run_id: str, holder: str, stale_s: float = 15.0) -> None:
        super().__init__(run_id, holder, stale_s)
        self.run_id, self.holder, self.stale_s = run_id, holder, stale_s

    def __str__(self) -> str:
        return (
            f"run {self.run_id} is in use by {self.holder}; stop it there or with "
            f"`codetether cancel {self.run_id}`, then resume (a process of this machine that hangs "
            f"can be taken over once it was silent for {self.stale_s:g} s)"
        )


class FencedError(JournalError):
    """A process that was replaced asked for something in the name of its agent."""

    def __init__(self, agent: str) -> None:
        super().__init__(agent)
        self.agent = agent

    def __str__(self) -> str:
        return f"another process took agent {self.agent} over; this one must stop"


class RunForgottenError(CodetetherError):
    """A run was removed for good by `codetether forget`."""

    exit_code = 2

    def __init__(self, run_id: str, when: str, by: str) -> None:
        super().__init__(run_id, when, by)
        self.run_id, self.when, self.by = run_id, when, by

    def __str__(self) -> str:
        return f"run {self.run_id} was forgotten on {self.when} by {self.by}; only hashes are left"


class UnknownRunError(CodetetherError):
    """There is no such run or session."""

    exit_code = 2

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id

    def __str__(self) -> str:
        return f"no run {self.run_id!r}; `codetether runs` lists them"
