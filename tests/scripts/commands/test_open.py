"""`moor open` knows where each page of a stage is."""

import pytest

from scripts.aws import Aws
from scripts.commands.open import Page, find_address
from scripts.errors import OperatorError
from scripts.target import Target
from stacks.config.read_stage import read_stage
from tests.scripts.deployed import Moor, deploy
from tests.scripts.prefixes import DEV_PREFIX

pytest_plugins = ["tests.scripts.conftest_deployed", "tests.service.api.conftest_api"]


def test_pages_of_the_api_are_under_its_url(
    aws: str, moor: Moor, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy("dev", "http://api.example/", "a-key")
    for page, path in (("api", ""), ("jobs", "/saq"), ("schema", "/schema")):
        assert moor("open", page, "--print", "--stage", "dev") == 0
        assert capsys.readouterr().out == f"http://api.example{path}\n"


def test_pages_of_aws_name_region_and_stage(
    aws: str, moor: Moor, capsys: pytest.CaptureFixture[str]
) -> None:
    home = "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#"
    assert moor("open", "dashboard", "--print", "--stage", "dev") == 0
    assert capsys.readouterr().out == f"{home}dashboards/dashboard/{DEV_PREFIX}\n"
    assert moor("open", "logs", "--print", "--stage", "dev") == 0
    assert capsys.readouterr().out == (
        f"{home}logsV2:log-groups$3FlogGroupNameFilter$3D$252Fecs$252F{DEV_PREFIX}\n"
    )


@pytest.mark.parametrize(
    ("region", "home"),
    [
        ("eu-central-1", "https://eu-central-1.console.aws.amazon.com/"),
        ("cn-north-1", "https://cn-north-1.console.amazonaws.cn/"),
        ("us-gov-west-1", "https://us-gov-west-1.console.amazonaws-us-gov.com/"),
    ],
)
@pytest.mark.parametrize("page", [Page.LOGS, Page.DASHBOARD])
def test_pages_of_aws_are_those_of_the_partition(region: str, home: str, page: Page) -> None:
    found = find_address(Aws(Target(read_stage("dev"), region=region)), page)
    assert found.startswith(home)
    assert region in found


def test_an_unknown_page_is_refused_with_what_there_is(
    moor: Moor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert moor("open", "moon") == 2
    assert "dashboard" in capsys.readouterr().err


def test_the_twin_has_no_console_and_says_what_to_do_instead() -> None:
    twin = Target(read_stage("local"), endpoint="http://localhost:1", region="us-east-1")
    with pytest.raises(OperatorError, match="no page for logs") as caught:
        find_address(Aws(twin), Page.LOGS)
    assert "moor logs" in caught.value.hint
