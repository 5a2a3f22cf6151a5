"""Everybody who takes part, in the order of the tables."""

from importlib import import_module

from tests.benchmarks.contender import Contender

_PLACES = {
    "moorage": "moorage:Moorage",
    "logged": "moorage:MoorageLogged",
    "pgqueuer": "pgqueuer:PgQueuerAsyncpg",
    "procrastinate": "procrastinate:Procrastinate",
    "saq": "stock_saq:StockSaq",
    "valkey": "saq_valkey:SaqValkey",
    "floor": "floor:Floor",
}
NAMES = tuple(_PLACES)
OURS = ("moorage",)
PEERS = ("pgqueuer", "procrastinate", "saq", "valkey")


def load(name: str) -> Contender:
    """One of them. Only its own module is imported: the others' would count as its memory."""
    module, _, kind = _PLACES[name].partition(":")
    contender: Contender = getattr(import_module(f"{__name__}.{module}"), kind)()
    return contender
