"""Keeps ECS from stopping this ECS task while a job runs that no drain would be long enough for.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html
"""

import asyncio
import math
import time

import httpx
import structlog

from service.queue.worker import Worker

LOOK_SECONDS = 2.0  # far less than a drain, in which a job is safe anyway
RELEASE_SECONDS = 5.0  # without a long job; the next one is often near
MARGIN_MINUTES = 2
MINUTES_MAX = 2880  # AWS's limit
TIMEOUT = httpx.Timeout(5.0, connect=2.0)
BLOCKED = "DEPLOYMENT_BLOCKED"

log = structlog.stdlib.get_logger("worker")


class TaskProtection:
    """Protects the ECS task while `worker` runs a job with a time limit beyond `drain_seconds`.

    A deployment that would need the ECS task may refuse that. The worker then takes no more jobs,
    finishes what it runs and ends, so that the deployment does too.
    """

    def __init__(self, worker: Worker, *, agent_uri: str, drain_seconds: float) -> None:
        self._worker = worker
        self._drain_seconds = drain_seconds
        self._client = httpx.AsyncClient(base_url=agent_uri, timeout=TIMEOUT)
        self._until = 0.0  # time.monotonic() at which what was granted ends
        self._needed_at = 0.0
        self._is_blocked = False

    async def run(self) -> None:
        """Watch the worker until cancelled. Nothing that goes wrong here reaches a job."""
        failures = 0
        async with self._client:
            while True:
                try:
                    await self._look()
                    failures = 0
                except (httpx.HTTPError, ValueError) as error:
                    failures += 1
                    if failures == 1:
                        log.warning(
                            "cannot change the ECS task's protection",
                            error=type(error).__name__, reason=str(error)[:200],
                        )  # fmt: skip
                await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        now = time.monotonic()
        needed_until = self._worker.busy_until(beyond_seconds=self._drain_seconds)
        if needed_until is not None:
            self._needed_at = now
            if needed_until > self._until and not self._is_blocked:
                await self._protect(needed_until - now)
        elif self._until > now and now - self._needed_at > RELEASE_SECONDS:
            await self._put({"ProtectionEnabled": False})
            self._until = 0.0
            log.info("the ECS task may be stopped again")
        if self._is_blocked and self._worker.is_idle:
            await self._worker.stop()

    async def _protect(self, seconds: float) -> None:
        # Half as long again as this job needs: a stream of them then asks now and then only.
        minutes = min(math.ceil(seconds * 1.5 / 60) + MARGIN_MINUTES, MINUTES_MAX)
        asked_at = time.monotonic()
        answer = await self._put({"ProtectionEnabled": True, "ExpiresInMinutes": minutes})
        # A refusal comes with status 200 as well.
        if "protection" in answer:
            self._until = asked_at + minutes * 60
            log.info("the ECS task is protected from being stopped", minutes=minutes)
            return
        reason = str((answer.get("failure") or {}).get("Reason"))
        if reason != BLOCKED:
            raise ValueError(f"refused: {reason}")
        self._is_blocked = True
        log.warning("a deployment waits for this ECS task; it finishes its jobs and ends")
        await self._worker.queue.consumer.pause()

    async def _put(self, body: dict[str, bool | int]) -> dict[str, dict[str, str]]:
        response = await self._client.put("/task-protection/v1/state", json=body)
        response.raise_for_status()
        answer: dict[str, dict[str, str]] = response.json()
        return answer
