"""What does not reach the log of a process."""

import logging

import httpx
import pytest

from service import logs
from service.settings import Settings


def test_what_a_task_asks_for_by_http_is_not_logged_with_its_secrets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = logging.getLogger().handlers
    try:
        logs.configure(Settings.model_construct(log_level="info", log_format="json"), "worker")
        transport = httpx.MockTransport(lambda _: httpx.Response(200))
        with httpx.Client(transport=transport) as client:
            client.get("https://example.org/feed?token=secret")
        logging.getLogger("worker").info("asked")
    finally:
        logging.getLogger().handlers = before
    (line,) = capsys.readouterr().out.splitlines()
    assert '"asked"' in line
