"""`moor down`: end the local twin and every process it started."""

import os
import time

from scripts.target import HOME
from scripts.terminal.options import HomeOption
from scripts.terminal.render import Screen
from scripts.twin.client.launch import end


def down(home: HomeOption = HOME) -> None:
    """End the local twin, after its ECS tasks have finished their jobs.

    The database's rows stay for the next `moor up`; `make clean` deletes them.
    """
    screen = Screen(os.environ)
    began = time.monotonic()
    if end(home.absolute(), screen.say):
        screen.step("Down", time.monotonic() - began)
    else:
        screen.say("No twin runs here")
