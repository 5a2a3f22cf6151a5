"""Fixtures that tests of domains share with those of the service."""

from tests.service.conftest import db, ledger, queue, registry

__all__ = ["db", "ledger", "queue", "registry"]
