"""No interleaving of claims, outcomes, deaths and rescues loses a job or runs it twice at once."""

from collections.abc import Mapping

import pytest

from tests.service.queue.postgres.protocol import Protocol, text_of

STEPS = 100  # from an empty queue
QUICK, BUGGY, LONG = 10, 100, 100_000 // STEPS  # runs, each by a seed of its own


async def run(dsn: str, runs: int, statements: Mapping[str, str] = {}) -> None:
    for seed in range(runs):
        await Protocol(seed, statements).run(dsn, STEPS)


async def test_no_job_is_lost_or_runs_twice_at_once(database: str) -> None:
    await run(database, QUICK)


@pytest.mark.parametrize(
    ("name", "part", "bug"),
    [
        ("WRITE_OUTCOMES", "j.lease = d.lease AND j.owner IS NOT NULL AND ", ""),
        ("RESCUE", "w.id = c.owner AND w.expires_at > clock_timestamp()", "FALSE"),
        ("CLAIM", "FOR UPDATE OF r, j SKIP LOCKED", ""),
        ("CLAIM", "array_agg(background_job_id)", "(array_agg(background_job_id))[1:1]"),
        ("TURN", "FOR UPDATE OF r, j SKIP LOCKED", ""),
        ("CLAIM", "owner = $3 AND id = ANY ($6::bigint[])", "owner = $3 AND $6::bigint[] <> '{}'"),
    ],
    ids=[
        "a late outcome counts",
        "a live worker counts as dead",
        "two claims find one job",
        "a claim forgets jobs",
        "a turn claims what another has",
        "a claim ends before its jobs",
    ],
)
async def test_a_bug_in_a_statement_is_found(database: str, name: str, part: str, bug: str) -> None:
    good = text_of(name)
    assert part in good
    with pytest.raises(AssertionError, match=r"which runs in|twice|ended|never came"):
        await run(database, BUGGY, {name: good.replace(part, bug)})


@pytest.mark.faults
async def test_a_hundred_thousand_steps(database: str) -> None:
    await run(database, LONG)
