"""What tests of domains share with those of the service: a database, its queue and ledger."""

from tests.service.conftest import db, ledger, queue, registry

__all__ = ["db", "ledger", "queue", "registry"]
