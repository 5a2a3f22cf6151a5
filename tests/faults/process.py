"""`python -m service …` as it is, after the tasks of the fault list have been registered."""

import importlib
import os
import sys

import service.__main__
import service.processes.worker_process

MODULES = {"FAULT_TICKS": "tests.faults.ticks", "FAULT_RELEASE": "tests.faults.newer"}


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    importlib.import_module("tests.faults.tasks")  # only now: it reads the environment
    for variable, module in MODULES.items():
        if variable in os.environ:  # noqa: TID251 - no setting of the service
            importlib.import_module(module)
    return service.__main__.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
