"""How much memory requests may take before anybody has read them, over all connections."""

from dataclasses import dataclass, field
from typing import Any

HELD_MAX_BYTES = 32 * 1024 * 1024
# Below this a connection is never refused, however much the others hold: an ordinary request.
FAIR_BYTES = 16 * 1024
UNSENT_MAX_BYTES = 64 * 1024 * 1024


@dataclass
class Load:
    """What all connections of this process hold: of requests that arrived, of answers to be sent.

    A limit for one connection is not enough: a thousand that stay below it fill the memory too.
    """

    held_bytes: int = 0
    unsent_bytes: int = 0
    idle: dict[Any, None] = field(default_factory=dict)
    """Connections without a request that is being answered, the idlest first."""

    def end_idlest(self) -> None:
        idlest = next(iter(self.idle))
        del self.idle[idlest]
        idlest.transport.abort()

    def may_hold(self, connection_bytes: int) -> bool:
        """Whether a connection may hold so much; what it holds is counted already."""
        return connection_bytes <= FAIR_BYTES or self.held_bytes <= HELD_MAX_BYTES

    @property
    def may_send(self) -> bool:
        return self.unsent_bytes <= UNSENT_MAX_BYTES
