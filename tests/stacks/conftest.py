"""Node for the tests is that of the virtual environment, and each stage is synthesized once."""

import pytest

from stacks.config.stage import STAGES
from tests.stacks.templates import Templates, of_stage


@pytest.fixture(params=STAGES)
def templates(request: pytest.FixtureRequest) -> Templates:
    """Each stage in turn."""
    return of_stage(request.param)


@pytest.fixture
def prod() -> Templates:
    return of_stage("prod")


@pytest.fixture
def dev() -> Templates:
    return of_stage("dev")
