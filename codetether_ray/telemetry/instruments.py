"""Everything that is measured. Ray puts `ray_` before these names, and the node behind them."""

from types import MappingProxyType

from codetether_ray.ports.metrics import Instrument, InstrumentKind

_FAST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_SLOW_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)


def _made(
    kind: InstrumentKind, name: str, help_text: str, *labels: str, buckets: tuple[float, ...] = ()
) -> Instrument:
    return Instrument(
        kind=kind, name=f"codetether_{name}", help=help_text, labels=labels, buckets=buckets
    )


RUNS = _made("gauge", "runs", "Runs under way.", "kind")
RUNS_FINISHED = _made("counter", "runs_finished_total", "Runs that ended.", "kind", "outcome")
AGENTS = _made("gauge", "agents", "Agents now, waiting or alive.", "kind", "state")
QUEUE = _made("gauge", "queue_length", "Agents that wait for memory, a CPU or a place.")
AGENTS_STARTED = _made("counter", "agents_started_total", "Agents that began their life.", "kind")
AGENT_RESTARTS = _made(
    "counter", "agent_restarts_total", "Processes of agents that were replaced.", "kind"
)
SPAWN = _made(
    "histogram",
    "agent_spawn_seconds",
    "From an agent's permit to its process being up.",
    "kind",
    buckets=(0.001, 0.005, *_SLOW_S[:10]),
)
TURNS = _made("counter", "turns_total", "Turns that ended.", "kind", "outcome")
TURN = _made("histogram", "turn_seconds", "How long turns took.", "kind", buckets=_SLOW_S)
TOOL_CALLS = _made("counter", "tool_calls_total", "Tool calls that ended.", "tool", "outcome")
TOOL = _made("histogram", "tool_seconds", "How long tools took.", "tool", buckets=_SLOW_S)
MODEL_REQUESTS = _made(
    "counter", "model_requests_total", "Model calls that ended.", "provider", "model", "outcome"
)
MODEL = _made(
    "histogram",
    "model_seconds",
    "How long model calls took, retries included.",
    "provider",
    "model",
    buckets=_SLOW_S,
)
TOKENS = _made(
    "counter",
    "model_tokens_total",
    "Tokens; `input` holds `cache_read` and `cache_write`, `output` holds `reasoning`.",
    "provider",
    "model",
    "type",
)
COST = _made("counter", "model_cost_usd_total", "US dollars of model calls.", "provider", "model")
UNPRICED = _made(
    "counter", "model_unpriced_total", "Model calls without a known price.", "provider", "model"
)
RETRIES = _made(
    "counter",
    "model_retries_total",
    "Model calls that were tried again; `rate_limit` is a 429.",
    "provider",
    "model",
    "reason",
)
COMPACTIONS = _made("counter", "compactions_total", "Conversations that were shortened.", "stage")
SUBTASKS = _made("counter", "subtasks_total", "Subtasks that reached a state.", "status")
MERGES = _made("counter", "merges_total", "Subtasks' commits at merging.", "status")
RECORDS = _made("counter", "journal_records_total", "Records that were made durable.")
JOURNAL = _made(
    "histogram",
    "journal_append_seconds",
    "From a record's coming to its being on disk.",
    buckets=_FAST_S,
)
BUS_LAG = _made("gauge", "bus_lag_messages", "Messages on the bus that a run has yet to read.")
BUS_DELAY = _made(
    "gauge", "bus_delay_seconds", "Age of the last event of a run when it came over the bus."
)
BUS_LOST = _made("counter", "bus_lost_total", "Messages that came too fast for a run to read.")
BUDGET_LEFT_USD = _made("gauge", "budget_left_usd", "What runs with such a budget may still spend.")
BUDGET_LEFT_TOKENS = _made(
    "gauge", "budget_left_tokens", "What runs with such a budget may still use."
)
BUDGET_USD = _made("gauge", "budget_usd", "The budgets in US dollars of the runs under way.")
BUDGET_TOKENS = _made("gauge", "budget_tokens", "The budgets in tokens of the runs under way.")

INSTRUMENTS = MappingProxyType(
    {found.name: found for found in tuple(globals().values()) if isinstance(found, Instrument)}
)
"""By name."""
