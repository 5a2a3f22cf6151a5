"""`python -m tests.cloud PORT`: the imitation as a server, until it is ended."""

import sys

from moto.server import main

from tests.cloud import fixes, recipes, removal

if __name__ == "__main__":
    fixes.apply()
    removal.apply()
    recipes.register()
    main(["-H", "localhost", "-p", sys.argv[1]])
