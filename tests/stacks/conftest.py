"""Node for the tests is that of the virtual environment, and each stage is synthesized once."""

import pytest

from tests.stacks.templates import Templates, every_stage, of, of_stage


@pytest.fixture(params=every_stage().values(), ids=list(every_stage()))
def templates(request: pytest.FixtureRequest) -> Templates:
    """Each stage in turn."""
    return of(request.param)


@pytest.fixture
def prod() -> Templates:
    return of_stage("prod")


@pytest.fixture
def dev() -> Templates:
    return of_stage("dev")
