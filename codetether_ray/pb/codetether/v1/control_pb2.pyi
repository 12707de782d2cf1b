from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Repository(_message.Message):
    __slots__ = ("bundle", "url", "directory", "ref")
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    REF_FIELD_NUMBER: _ClassVar[int]
    bundle: str
    url: str
    directory: str
    ref: str
    def __init__(self, bundle: _Optional[str] = ..., url: _Optional[str] = ..., directory: _Optional[str] = ..., ref: _Optional[str] = ...) -> None: ...

class SubmitSwarmRequest(_message.Message):
    __slots__ = ("task", "repository", "model", "max_steps", "timeout_s", "budget_usd", "max_tokens", "parallel", "strategy", "max_subagents", "max_depth", "approved")
    TASK_FIELD_NUMBER: _ClassVar[int]
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MAX_STEPS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    BUDGET_USD_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    PARALLEL_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    MAX_SUBAGENTS_FIELD_NUMBER: _ClassVar[int]
    MAX_DEPTH_FIELD_NUMBER: _ClassVar[int]
    APPROVED_FIELD_NUMBER: _ClassVar[int]
    task: str
    repository: Repository
    model: str
    max_steps: int
    timeout_s: float
    budget_usd: float
    max_tokens: int
    parallel: int
    strategy: str
    max_subagents: int
    max_depth: int
    approved: bool
    def __init__(self, task: _Optional[str] = ..., repository: _Optional[_Union[Repository, _Mapping]] = ..., model: _Optional[str] = ..., max_steps: _Optional[int] = ..., timeout_s: _Optional[float] = ..., budget_usd: _Optional[float] = ..., max_tokens: _Optional[int] = ..., parallel: _Optional[int] = ..., strategy: _Optional[str] = ..., max_subagents: _Optional[int] = ..., max_depth: _Optional[int] = ..., approved: _Optional[bool] = ...) -> None: ...

class SubmitPrdRequest(_message.Message):
    __slots__ = ("prd_json", "path", "repository", "model", "max_steps", "timeout_s", "budget_usd", "max_tokens", "parallel", "max_iterations", "gate_timeout_s")
    PRD_JSON_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MAX_STEPS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    BUDGET_USD_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    PARALLEL_FIELD_NUMBER: _ClassVar[int]
    MAX_ITERATIONS_FIELD_NUMBER: _ClassVar[int]
    GATE_TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    prd_json: str
    path: str
    repository: Repository
    model: str
    max_steps: int
    timeout_s: float
    budget_usd: float
    max_tokens: int
    parallel: int
    max_iterations: int
    gate_timeout_s: float
    def __init__(self, prd_json: _Optional[str] = ..., path: _Optional[str] = ..., repository: _Optional[_Union[Repository, _Mapping]] = ..., model: _Optional[str] = ..., max_steps: _Optional[int] = ..., timeout_s: _Optional[float] = ..., budget_usd: _Optional[float] = ..., max_tokens: _Optional[int] = ..., parallel: _Optional[int] = ..., max_iterations: _Optional[int] = ..., gate_timeout_s: _Optional[float] = ...) -> None: ...

class StartedRun(_message.Message):
    __slots__ = ("run_id", "notes")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, run_id: _Optional[str] = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...

class Run(_message.Message):
    __slots__ = ("id", "kind", "title", "state", "outcome", "principal", "json")
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    id: str
    kind: str
    title: str
    state: str
    outcome: str
    principal: str
    json: str
    def __init__(self, id: _Optional[str] = ..., kind: _Optional[str] = ..., title: _Optional[str] = ..., state: _Optional[str] = ..., outcome: _Optional[str] = ..., principal: _Optional[str] = ..., json: _Optional[str] = ...) -> None: ...

class GetRunRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class ListRunsRequest(_message.Message):
    __slots__ = ("kind", "state", "limit", "before")
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    state: str
    limit: int
    before: str
    def __init__(self, kind: _Optional[str] = ..., state: _Optional[str] = ..., limit: _Optional[int] = ..., before: _Optional[str] = ...) -> None: ...

class ListRunsResponse(_message.Message):
    __slots__ = ("runs", "next")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[Run]
    next: str
    def __init__(self, runs: _Optional[_Iterable[_Union[Run, _Mapping]]] = ..., next: _Optional[str] = ...) -> None: ...

class FollowRunRequest(_message.Message):
    __slots__ = ("run_id", "after")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    after: int
    def __init__(self, run_id: _Optional[str] = ..., after: _Optional[int] = ...) -> None: ...

class RunRecord(_message.Message):
    __slots__ = ("seq", "time", "agent", "kind", "json")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    seq: int
    time: float
    agent: str
    kind: str
    json: str
    def __init__(self, seq: _Optional[int] = ..., time: _Optional[float] = ..., agent: _Optional[str] = ..., kind: _Optional[str] = ..., json: _Optional[str] = ...) -> None: ...

class CancelRunRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class CancelRunResponse(_message.Message):
    __slots__ = ("was_running",)
    WAS_RUNNING_FIELD_NUMBER: _ClassVar[int]
    was_running: bool
    def __init__(self, was_running: _Optional[bool] = ...) -> None: ...

class BundlePiece(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class Bundle(_message.Message):
    __slots__ = ("id", "size", "sha256", "refs")
    class RefsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    REFS_FIELD_NUMBER: _ClassVar[int]
    id: str
    size: int
    sha256: str
    refs: _containers.ScalarMap[str, str]
    def __init__(self, id: _Optional[str] = ..., size: _Optional[int] = ..., sha256: _Optional[str] = ..., refs: _Optional[_Mapping[str, str]] = ...) -> None: ...

class FetchBundleRequest(_message.Message):
    __slots__ = ("run_id", "since")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    since: str
    def __init__(self, run_id: _Optional[str] = ..., since: _Optional[str] = ...) -> None: ...

class KeyResult(_message.Message):
    __slots__ = ("title", "description", "target", "direction", "unit", "measure_json")
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    MEASURE_JSON_FIELD_NUMBER: _ClassVar[int]
    title: str
    description: str
    target: float
    direction: str
    unit: str
    measure_json: str
    def __init__(self, title: _Optional[str] = ..., description: _Optional[str] = ..., target: _Optional[float] = ..., direction: _Optional[str] = ..., unit: _Optional[str] = ..., measure_json: _Optional[str] = ...) -> None: ...

class Work(_message.Message):
    __slots__ = ("repository", "model", "max_steps", "timeout_s", "budget_usd", "max_tokens", "parallel", "count", "rounds")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MAX_STEPS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    BUDGET_USD_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    PARALLEL_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    repository: Repository
    model: str
    max_steps: int
    timeout_s: float
    budget_usd: float
    max_tokens: int
    parallel: int
    count: int
    rounds: int
    def __init__(self, repository: _Optional[_Union[Repository, _Mapping]] = ..., model: _Optional[str] = ..., max_steps: _Optional[int] = ..., timeout_s: _Optional[float] = ..., budget_usd: _Optional[float] = ..., max_tokens: _Optional[int] = ..., parallel: _Optional[int] = ..., count: _Optional[int] = ..., rounds: _Optional[int] = ...) -> None: ...

class CreateOkrRequest(_message.Message):
    __slots__ = ("objective", "description", "key_results", "work")
    OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    KEY_RESULTS_FIELD_NUMBER: _ClassVar[int]
    WORK_FIELD_NUMBER: _ClassVar[int]
    objective: str
    description: str
    key_results: _containers.RepeatedCompositeFieldContainer[KeyResult]
    work: Work
    def __init__(self, objective: _Optional[str] = ..., description: _Optional[str] = ..., key_results: _Optional[_Iterable[_Union[KeyResult, _Mapping]]] = ..., work: _Optional[_Union[Work, _Mapping]] = ...) -> None: ...

class Okr(_message.Message):
    __slots__ = ("id", "title", "status", "progress", "version", "runs", "json")
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    id: str
    title: str
    status: str
    progress: float
    version: int
    runs: _containers.RepeatedCompositeFieldContainer[OkrRun]
    json: str
    def __init__(self, id: _Optional[str] = ..., title: _Optional[str] = ..., status: _Optional[str] = ..., progress: _Optional[float] = ..., version: _Optional[int] = ..., runs: _Optional[_Iterable[_Union[OkrRun, _Mapping]]] = ..., json: _Optional[str] = ...) -> None: ...

class OkrRun(_message.Message):
    __slots__ = ("id", "status", "relay_id", "json")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RELAY_ID_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    id: str
    status: str
    relay_id: str
    json: str
    def __init__(self, id: _Optional[str] = ..., status: _Optional[str] = ..., relay_id: _Optional[str] = ..., json: _Optional[str] = ...) -> None: ...

class ListOkrsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListOkrsResponse(_message.Message):
    __slots__ = ("okrs",)
    OKRS_FIELD_NUMBER: _ClassVar[int]
    okrs: _containers.RepeatedCompositeFieldContainer[Okr]
    def __init__(self, okrs: _Optional[_Iterable[_Union[Okr, _Mapping]]] = ...) -> None: ...

class GetOkrRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class DecideOkrRequest(_message.Message):
    __slots__ = ("id", "reason", "version")
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    id: str
    reason: str
    version: int
    def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class DecidedOkr(_message.Message):
    __slots__ = ("okr", "started", "not_started", "was_running")
    OKR_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    NOT_STARTED_FIELD_NUMBER: _ClassVar[int]
    WAS_RUNNING_FIELD_NUMBER: _ClassVar[int]
    okr: Okr
    started: StartedRun
    not_started: str
    was_running: bool
    def __init__(self, okr: _Optional[_Union[Okr, _Mapping]] = ..., started: _Optional[_Union[StartedRun, _Mapping]] = ..., not_started: _Optional[str] = ..., was_running: _Optional[bool] = ...) -> None: ...

class ResumeOkrRequest(_message.Message):
    __slots__ = ("id", "work")
    ID_FIELD_NUMBER: _ClassVar[int]
    WORK_FIELD_NUMBER: _ClassVar[int]
    id: str
    work: Work
    def __init__(self, id: _Optional[str] = ..., work: _Optional[_Union[Work, _Mapping]] = ...) -> None: ...

class CancelOkrRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...
