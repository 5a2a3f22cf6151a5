"""How long a job waits before its next attempt."""

from itertools import pairwise

import pytest
from saq import Job

from service.queue.job import retry_delay


def delays(job: Job, attempts: int) -> list[float]:
    found = []
    for attempt in range(1, attempts + 1):
        job.attempts = attempt
        found.append(retry_delay(job))
    return found


def test_delays_grow_with_each_attempt_up_to_the_limit() -> None:
    job = Job("x", retries=9, retry_delay=1.0, retry_backoff=40.0)
    for _ in range(100):
        found = delays(job, 9)
        assert all(first <= second for first, second in pairwise(found[:6]))
        assert all(2**n / 2 <= delay <= 2**n for n, delay in enumerate(found[:6]))
        assert all(20 <= delay <= 40 for delay in found[6:])


def test_without_backoff_every_delay_is_the_same() -> None:
    assert delays(Job("x", retries=3, retry_delay=7.0), 3) == [7.0, 7.0, 7.0]


def test_thousandth_attempt_has_a_delay_too() -> None:
    job = Job("x", retries=2000, retry_delay=1.0, retry_backoff=True, attempts=1000)
    assert retry_delay(job) == pytest.approx(0.75 * 2**30, rel=0.34)
