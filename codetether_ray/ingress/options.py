"""What an ingress is opened with: plain values that travel. No secret is in them."""

from dataclasses import dataclass

GRPC_PORT = "CODETETHER_GRPC_PORT"
AUTH_TOKEN = "CODETETHER_AUTH_TOKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressOptions:
    """One ingress, wherever it runs."""

    hostname: str = "127.0.0.1"
    port: int = 4096
    """0: any free one."""
    grpc_port: int = 50051
    """0: any free one."""
    public_url: str = ""
    """What the card declares; empty: made of hostname and port."""
    name: str = "CodeTether Agent"
    description: str = ""
    instance: str = ""
    """Of a spawned peer: names its process in the card; empty: it is none."""
    replicas: int = 1
    is_spread: bool = False
    """One replica a node, on as many nodes as there are replicas; else all on the head's."""
    data_dir: str = ""
    """The truth's; empty: this user's."""
    directory: str = ""
    """The git repository that agents work on; empty: an empty workspace for each context."""
    model: str = ""
    """`provider/model`; empty: the settings'."""
    max_steps: int | None = None
    """Of one message's turn; None: the settings'."""
    timeout_s: float | None = None
    """Of one message's turn; None: no limit."""
    max_tokens: int | None = None
    """What one message's turn may take; None: no limit."""
    budget_usd: float | None = None
    """The same in dollars."""
    tasks_url: str = ""
    """`postgresql://…`; empty: SQLite in the data directory. No password is in it: see the docs.
    `memory`: nothing is kept, to measure what a store costs; for one replica."""
    keep_tasks_days: float = 30.0
    """How long A2A tasks are kept that have ended."""
    agents: str = "codetether_ray.bootstrap.a2a.agents:open_agents"
    """`module:function` that opens `TaskAgents`, given these options and the world's reach."""
    is_card_private: bool = False
    is_card_signed: bool = False
    """Whether the public card is signed by a key of the data directory."""
    allows_private_pushes: bool = False
    """Whether push notifications may go to loopback and private addresses."""
    max_body_bytes: int = 4_000_000
    cors_origins: tuple[str, ...] = ()
    """Empty: no cross-origin requests."""
    tls_certificate: str = ""
    """Path of a PEM file on the node; empty: no TLS."""
    tls_key: str = ""
    """Path of its key."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks whose `X-Forwarded-For` is believed; empty: none."""

    def __post_init__(self) -> None:
        """Refuse a secret: options are shown by Serve, and written into its configuration.

        Raises:
            ConfigError: `tasks_url` holds a password, or is no address of a database.
        """
        if self.tasks_url:
            from codetether_ray.ingress.database import check_url

            check_url(self.tasks_url, replicas=self.replicas)
