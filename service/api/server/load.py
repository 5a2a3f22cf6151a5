"""Limits the memory of requests and answers over all connections."""

from dataclasses import dataclass, field
from typing import Any

HELD_MAX_BYTES = 32 * 1024 * 1024
# A connection that holds no more than an ordinary request is never refused because of the others.
FAIR_BYTES = 16 * 1024
UNSENT_MAX_BYTES = 64 * 1024 * 1024


@dataclass
class Load:
    """The bytes that all connections hold of arrived requests and of unsent answers.

    A limit for each connection is not enough: a thousand below it fill the memory too.
    """

    held_bytes: int = 0
    unsent_bytes: int = 0
    idle: dict[Any, None] = field(default_factory=dict)
    """The connections that answer no request now, the longest idle first."""

    def end_idlest(self) -> None:
        idlest = next(iter(self.idle))
        del self.idle[idlest]
        idlest.transport.abort()

    def may_hold(self, connection_bytes: int) -> bool:
        """May a connection hold so much? Its bytes are in `held_bytes` already."""
        return connection_bytes <= FAIR_BYTES or self.held_bytes <= HELD_MAX_BYTES

    @property
    def may_send(self) -> bool:
        return self.unsent_bytes <= UNSENT_MAX_BYTES
