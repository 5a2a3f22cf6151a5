"""`python -m service …`, with the tests' own tasks registered before."""

import sys

import tests.service.tasks  # noqa: F401 - registers
from service.__main__ import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
