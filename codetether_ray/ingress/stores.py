"""Where an ingress keeps its tasks, and how its replicas tell each other of them."""

from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.core.errors import ConfigError
from codetether_ray.ingress.database import IN_MEMORY, password_here
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.local.clock import SystemClock
from codetether_ray.local.memory_tasks import MemoryTasks
from codetether_ray.local.task_channel import LocalTaskChannel
from codetether_ray.local.tasks import open_local_tasks
from codetether_ray.ports.task_channel import TaskChannel
from codetether_ray.ports.tasks import TaskStore


async def open_tasks(options: IngressOptions, reach: Reach) -> tuple[TaskStore, TaskChannel]:
    """The store that the options name, and the channel of the world that is reached.

    PostgreSQL where `tasks_url` says so. Else SQLite in the truth's data directory: of this
    process alone where there is no cluster, of an actor on the head where there is one.

    Raises:
        TaskStoreError: the store cannot be opened.
        ConfigError: what PostgreSQL needs is not installed.
    """
    store = await _opened(options, reach)
    if reach.cluster is None:
        return store, LocalTaskChannel()
    from codetether_ray.actors.task_channel import start_channel

    try:
        return store, await start_channel(str(reach.truth.data_dir))
    except BaseException:
        await store.close()
        raise


async def _opened(options: IngressOptions, reach: Reach) -> TaskStore:
    if options.tasks_url == IN_MEMORY:
        return MemoryTasks()
    if options.tasks_url:
        return await _postgres(options)
    if reach.cluster is None:
        return await open_local_tasks(reach.truth.data_dir, options.keep_tasks_days)
    from codetether_ray.actors.tasks import start_tasks

    return await start_tasks(str(reach.truth.data_dir), options.keep_tasks_days)


async def _postgres(options: IngressOptions) -> TaskStore:
    try:
        from codetether_ray.stores.postgres_tasks import open_postgres_tasks
    except ImportError as error:
        raise ConfigError(
            "tasks in PostgreSQL need asyncpg; install codetether-ray[postgres]"
        ) from error
    password = await password_here()
    return await open_postgres_tasks(
        options.tasks_url, password, SystemClock(), options.keep_tasks_days
    )
