"""Keeps ECS from stopping this ECS task while a job runs that may take longer than the drain.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html
"""

import asyncio
import math
import time

import httpx
import structlog

from service.db import UNAVAILABLE
from service.queue.worker.worker import Worker

CHECK_SECONDS = 2.0  # far less than a drain, in which a job is safe anyway
UNPROTECT_SECONDS = 5.0  # without a long job, because the next one often follows soon
RELEASE_CHECK_SECONDS = 10.0
RELEASE_STAYS_SECONDS = 20.0  # a release that dies at its start does not supersede this one
MARGIN_MINUTES = 2
MINUTES_MAX = 2880  # AWS's limit
TIMEOUT = httpx.Timeout(5.0, connect=2.0)
BLOCKED = "DEPLOYMENT_BLOCKED"
FAILURES: tuple[type[BaseException], ...] = (*UNAVAILABLE, httpx.HTTPError, ValueError, KeyError)

log = structlog.stdlib.get_logger("worker")


class TaskProtection:
    """Protects the ECS task while `worker` runs a job with a timeout over `drain_seconds`.

    ECS never stops a protected ECS task, so a worker that always runs such a job would block a
    deployment for ever. Once workers of another release run, or ECS refuses the protection because
    a deployment waits, the worker claims no more jobs, finishes those that run, and ends.
    """

    def __init__(
        self, worker: Worker, *, agent_uri: str, metadata_uri: str | None, drain_seconds: float
    ) -> None:
        self._worker = worker
        self._drain_seconds = drain_seconds
        self._metadata_uri = metadata_uri
        self._client = httpx.AsyncClient(base_url=agent_uri, timeout=TIMEOUT)
        self._release: str | None = None
        # All of time.monotonic().
        self._release_checked_at = float("-inf")
        self._protected_until = 0.0
        self._needed_at = 0.0  # the last check that found a long job
        self._is_leaving = False

    async def run(self) -> None:
        """Check the worker until cancelled. No error here reaches a job."""
        failures = 0
        async with self._client:
            while True:
                try:
                    await self._check()
                    failures = 0
                except FAILURES as error:
                    failures += 1
                    if failures == 1:
                        log.warning(
                            "cannot change the ECS task's protection",
                            error=type(error).__name__, reason=str(error)[:200],
                        )  # fmt: skip
                await asyncio.sleep(CHECK_SECONDS)

    async def _check(self) -> None:
        now = time.monotonic()
        needed_until = self._worker.busy_until(beyond_seconds=self._drain_seconds)
        if needed_until is not None:
            self._needed_at = now
            if needed_until > self._protected_until and not self._is_leaving:
                await self._protect(needed_until - now)
        elif self._protected_until > now and now - self._needed_at > UNPROTECT_SECONDS:
            await self._put({"ProtectionEnabled": False})
            self._protected_until = 0.0
            log.info("the ECS task may be stopped again")
        if not self._is_leaving and now - self._release_checked_at > RELEASE_CHECK_SECONDS:
            self._release_checked_at = now
            if await self._is_superseded() and self._protected_until > now:
                await self._leave("another release has come")
        if self._is_leaving and self._worker.is_idle:
            await self._worker.stop()

    async def _is_superseded(self) -> bool:
        if self._metadata_uri is None:
            return False
        if self._release is None:
            answer = (await self._client.get(f"{self._metadata_uri}/task")).raise_for_status()
            described = answer.json()
            self._release = f"{described['Family']}:{described['Revision']}"
        return await self._worker.queue.is_superseded(
            self._release, after_seconds=RELEASE_STAYS_SECONDS
        )

    async def _leave(self, why: str) -> None:
        self._is_leaving = True
        log.warning("this ECS task finishes its jobs and ends", reason=why)
        await self._worker.queue.consumer.pause()

    async def _protect(self, seconds: float) -> None:
        # Half as long again as this job needs, so that not each of many long jobs asks.
        minutes = min(math.ceil(seconds * 1.5 / 60) + MARGIN_MINUTES, MINUTES_MAX)
        asked_at = time.monotonic()
        answer = await self._put({"ProtectionEnabled": True, "ExpiresInMinutes": minutes})
        # A refusal comes with status 200 as well.
        if "protection" in answer:
            self._protected_until = asked_at + minutes * 60
            log.info("the ECS task is protected from being stopped", minutes=minutes)
            return
        reason = str((answer.get("failure") or {}).get("Reason"))
        if reason != BLOCKED:
            raise ValueError(f"refused: {reason}")
        await self._leave("a deployment waits for it")

    async def _put(self, body: dict[str, bool | int]) -> dict[str, dict[str, str]]:
        response = await self._client.put("/task-protection/v1/state", json=body)
        response.raise_for_status()
        answer: dict[str, dict[str, str]] = response.json()
        return answer
