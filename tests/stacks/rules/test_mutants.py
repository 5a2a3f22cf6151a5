"""Every property that matters is held by something: with one of them wrong, a gate says so."""

from collections import Counter

from tests.stacks.identity import identity
from tests.stacks.rules.mutants import Mutant, mutants
from tests.stacks.rules.test_rules import RULES, Rule
from tests.stacks.templates import Templates, synthesize

IDENTITY = "identity snapshot"


def gate(mutated: Templates, mutant: Mutant, known: object, rules: list[Rule]) -> str | None:
    """The first gate that does not let these templates through; None where all do."""
    try:
        if identity(mutant.resource(mutated)) != known:
            return IDENTITY
    except Exception:
        return IDENTITY
    for rule in rules:
        try:
            rule(mutated)
        except Exception:
            return rule.__name__
    return None


def test_no_mutant_survives() -> None:
    templates = synthesize("prod", worker_min_count=0, worker_spot_percent=50)
    for rule in RULES:
        rule(templates)  # as it is, nothing is wrong with it
    kills: Counter[str] = Counter()
    survivors = []
    order = list(RULES)
    for mutant in mutants(templates):
        # The snapshot says what it says of one resource after the other.
        known = identity(mutant.resource(templates))
        if killer := gate(mutant.of(templates), mutant, known, order):
            kills[killer] += 1
            if killer != IDENTITY:  # what found the last one most likely finds the next
                order.sort(key=lambda rule: rule.__name__ != killer)
        else:
            survivors.append(str(mutant))

    print(f"{kills.total()} of {kills.total() + len(survivors)} mutants found:", dict(kills))  # noqa: T201
    assert kills.total() > kills[IDENTITY] > 0
    assert survivors == []
