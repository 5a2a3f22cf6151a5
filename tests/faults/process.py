"""`python -m service …` as it is, after the tasks of the fault list have been registered."""

import importlib
import os
import sys

from service.__main__ import main

MODULES = {"FAULT_TICKS": "tests.faults.ticks", "FAULT_RELEASE": "tests.faults.newer"}

if __name__ == "__main__":
    importlib.import_module("tests.faults.tasks")
    for variable, module in MODULES.items():
        if variable in os.environ:  # noqa: TID251 - no setting of the service
            importlib.import_module(module)
    sys.exit(main(sys.argv[1:]))
