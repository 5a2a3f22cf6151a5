"""Commands make the templates they read by themselves."""

import pytest

from scripts.errors import OperatorError
from scripts.templates.synthesis import synthesized
from scripts.templates.template import read_template


def test_templates_are_those_of_the_code_whatever_the_caller_s_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PYTHONPATH", "PYTHONHOME", "NODE_OPTIONS", "JSII_NODE", "CDK_OUTDIR"):
        monkeypatch.setenv(name, "/nowhere")
    with synthesized("dev", app_name="shop") as folder:
        (cluster,) = read_template(folder).all("AWS::ECS::Cluster")
    assert cluster.properties["ClusterName"] == "shop-dev-cluster"
    assert not folder.exists()


def test_what_is_wrong_in_the_configuration_is_said_as_synth_says_it() -> None:
    refused = pytest.raises(OperatorError, match=r"worker_cpu = '7'.*allowed")
    with refused, synthesized("dev", worker_cpu="7"):
        pytest.fail("there are no templates of it")
