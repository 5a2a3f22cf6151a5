"""`moor doctor` as an operator runs it: on our own templates, and with a real API."""

import json
import re
from pathlib import Path

import pytest

from scripts.aws import connect
from scripts.doctor.queue import read_queues, read_readiness
from scripts.doctor.roots import read_roots
from scripts.doctor.rules import RULES
from service.contract import QUEUE_NAME
from tests.conftest import ROOT
from tests.scripts.deployed import Moor, one_command
from tests.scripts.prefixes import DEV_PREFIX
from tests.service.api.api_process import Api
from tests.stacks.templates import of_stage, synthesize

pytest_plugins = ["tests.service.api.conftest_api", "tests.scripts.conftest_deployed"]


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_our_own_templates_have_no_finding(
    moor: Moor, capsys: pytest.CaptureFixture[str], stage: str
) -> None:
    folder = of_stage(stage).folder
    assert moor("doctor", "--stage", stage, "--template", folder) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("0 findings")


def test_templates_with_an_error_end_with_1_and_say_what_to_do(
    moor: Moor, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for file in synthesize("dev").folder.iterdir():
        if file.is_file():
            text = file.read_text()
            text = re.sub(r'"StopTimeout": ?120', '"StopTimeout": 40', text)
            (tmp_path / file.name).write_text(text)
    assert moor("doctor", "--stage", "dev", "--template", tmp_path) == 1
    out = capsys.readouterr().out
    assert f"error: {DEV_PREFIX}-worker-service: it drains for 100 s" in out
    assert "[stop-timeout]" in out
    assert moor("doctor", "--stage", "dev", "--template", tmp_path, "--json") == 1
    found = json.loads(capsys.readouterr().out)["findings"]
    assert {each["id"] for each in found} == {"stop-timeout"}
    assert {"message", "fix", "link", "severity"} <= found[0].keys()


def test_a_wrong_stage_or_folder_is_said(moor: Moor, tmp_path: Path) -> None:
    assert moor("doctor", "--stage", "moon") == 2
    assert moor("doctor", "--stage", "dev", "--template", tmp_path) == 3


def test_the_api_tells_of_its_queue_and_of_itself(deployed: Api) -> None:
    with one_command():
        (found,) = read_queues(connect("dev"))
    assert found.name == QUEUE_NAME
    assert found.workers == 0
    assert found.oldest_due_seconds >= 0
    with one_command():
        assert read_readiness(deployed.url) == ""


def test_the_roots_in_the_image_are_read() -> None:
    found = read_roots()
    assert found is not None
    assert any(name.startswith("Amazon RDS us-east-1") for name in found)
    assert read_roots(ROOT / "no such file") is None


def test_every_rule_is_in_the_docs_and_every_page_of_ours_exists() -> None:
    page = (ROOT / "docs/doctor.md").read_text()
    assert [rule.id for rule in RULES if f"`{rule.id}`" not in page] == []
    for rule in RULES:
        file, _, section = rule.link.partition("#")
        if not file.startswith("https://"):
            text = (ROOT / file).read_text()
            headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
            anchors = {re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in headings}
            assert not section or section in anchors, rule.link
