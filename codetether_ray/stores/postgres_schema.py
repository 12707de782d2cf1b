"""The tables of tasks in PostgreSQL."""

from codetether_ray.ports.tasks import ENDED
from codetether_ray.stores.task_rules import COLUMNS

FORMAT = 1
"""Of the tables, kept in `codetether_format`."""
NAMES = ", ".join(COLUMNS)
SET = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])
_OF_COLUMN = {
    "version": "bigint",
    "updated_at": "float8",
    "held_until": "float8",
    "payload": "bytea",
    "asked": "bytea",
}
TYPES = ", ".join(f"${n}::{_OF_COLUMN.get(name, 'text')}[]" for n, name in enumerate(COLUMNS, 1))
"""The arguments of a statement that is given a column after the other."""
_ENDED = ", ".join(f"'{state}'" for state in sorted(ENDED))
TABLES = f"""
CREATE TABLE codetether_tasks (
    id text COLLATE "C" PRIMARY KEY, context_id text NOT NULL, owner text NOT NULL,
    state text NOT NULL, version bigint NOT NULL, updated_at float8 NOT NULL,
    payload bytea NOT NULL, holder text NOT NULL, held_until float8 NOT NULL, asked bytea NOT NULL
);
ALTER TABLE codetether_tasks ALTER payload SET STORAGE EXTERNAL;
CREATE INDEX ON codetether_tasks (owner, updated_at, id);
CREATE INDEX ON codetether_tasks (context_id);
CREATE INDEX ON codetether_tasks (held_until) WHERE asked <> '';
CREATE INDEX ON codetether_tasks (updated_at) WHERE state IN ({_ENDED});
CREATE TABLE codetether_pushes (
    task_id text COLLATE "C", id text COLLATE "C", owner text, payload bytea NOT NULL,
    PRIMARY KEY (task_id, id, owner)
);
"""
