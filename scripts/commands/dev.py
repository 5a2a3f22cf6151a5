"""`moor dev`: stage local on the code of this checkout, reloaded whenever it is saved."""

import os
import signal
import webbrowser
from collections.abc import Callable
from functools import partial
from pathlib import Path

from scripts.api import Api
from scripts.aws import Aws
from scripts.clock import Clock
from scripts.ecs import rollouts
from scripts.ecs.ecs_events import EcsEvents
from scripts.errors import OperatorError
from scripts.host.pid_lock import take_up_lock
from scripts.host.sources import Sources
from scripts.jobs.job_payload import read_payload, task_schema
from scripts.local.bring_up import bring_up
from scripts.logs.log_lines import is_metric, parse, render
from scripts.logs.log_reading import Follower, Source, groups
from scripts.processes import deployed, forwards
from scripts.target import HOME, find_target
from scripts.terminal.answer import fail, print_line, say
from scripts.terminal.interrupt import heed, was_interrupted
from scripts.terminal.keyboard import Keyboard
from scripts.terminal.options import HomeOption
from scripts.terminal.render import Screen, shows_colours
from scripts.twin.client.shell import ROOT
from scripts.twin.client.state import Twin, dev_file
from service.contract import LOCAL_STAGE, ProcessName

LOOK_SECONDS = 0.2
STACKS = ("stages.toml", "app.py", "cdk.json", "stacks")  # what a deployment reads beside the code
KEYS = "r restarts, e enqueues a job, o opens the console, q ends"


def dev(home: HomeOption = HOME) -> None:
    """Run stage local on the code of this checkout, and reload it whenever it is saved.

    The local twin starts as with `moor up`, but API and workers run the checkout itself. When a
    file of `service/` is saved, new processes take over once they have started, and those of before
    end their requests and jobs; where they do not start, the error is shown and the code of before
    goes on. A new migration runs. `stages.toml` and `stacks/` are deployed when they are saved.

    All log lines are shown. Keys: r restarts, e enqueues a job, o opens the console, q ends.
    """
    os.umask(0o077)  # only this user may read the files
    screen = Screen(os.environ)
    home = home.absolute()
    lock = take_up_lock(home)
    heed(signal.SIGTERM, signal.SIGHUP)
    flag = dev_file(home)
    try:
        was_running = Twin.load(home) is not None and not flag.exists()
        flag.parent.mkdir(parents=True, exist_ok=True)
        flag.touch()
        twin, _, console = bring_up(home, os.environ, screen)
        aws = Aws(find_target(LOCAL_STAGE, home=home))
        if was_running:
            rollouts.restart(aws, forwards(aws), Clock())
        screen.title(f"Edit service/: it is reloaded at {twin.url}. {KEYS}.")
        screen.say(f"  Console  {console}")
        _Loop(aws, home, screen).run()
    except BaseException:
        if not was_interrupted():
            raise
    finally:
        flag.unlink(missing_ok=True)
        lock.release()
    screen.say()
    screen.say("The twin runs on, and reloads until then: `moor up` deploys this code as an image,")
    screen.say("`moor down` ends it.")


class _Loop:
    """Shows log lines, and does what is asked for or saved."""

    def __init__(self, aws: Aws, home: Path, screen: Screen) -> None:
        self._aws, self._home, self._screen = aws, home, screen
        every = deployed(aws)
        names = (*every, ProcessName.MIGRATE)
        sources: list[Source] = [*groups(aws, names, ecs_task="", text="")]
        sources += [EcsEvents(aws, process) for process in every]
        clock = Clock()
        self._lines = Follower(sources, clock.now(), clock)
        self._width = max(map(len, names))
        self._is_coloured = shows_colours(os.environ)
        self._stacks = Sources(*(ROOT / name for name in STACKS))
        self._code = Sources(ROOT / "service")

    def run(self) -> None:
        """Until q or Ctrl-C."""
        with Keyboard() as keyboard:
            while True:
                self._show()
                match keyboard.key(LOOK_SECONDS):
                    case "q":
                        return
                    case "r":
                        self._try(self._restart)
                    case "o":
                        self._try(self._open)
                    case "e":
                        words = keyboard.ask("Task, and its payload as name=value: ").split()
                        self._try(partial(self._enqueue, *words))
                    case "":
                        self._look()
                    case _:
                        say(f"Keys: {KEYS}.")

    def _show(self) -> None:
        for event in self._lines.poll():
            if not is_metric(parse(event.message)):
                print_line(render(event, is_coloured=self._is_coloured, width=self._width))

    def _look(self) -> None:
        if saved := self._stacks.changed():
            say(f"{_name(saved[0])} was saved: deploying")
            self._try(lambda: bring_up(self._home, os.environ, self._screen))
        if new := [path for path in self._code.changed() if "migrations" in path.parts]:
            say(f"{_name(new[0])} was saved: migrating")
            self._try(self._restart)  # a new ECS task of the API migrates before it starts

    def _restart(self) -> None:
        rollouts.restart(self._aws, forwards(self._aws), Clock())

    def _open(self) -> None:
        address = Api(self._aws).console_link()
        print_line(address)
        webbrowser.open(address)

    def _enqueue(self, task: str = "", *words: str) -> None:
        if task:
            api = Api(self._aws)
            payload = read_payload([*words], task_schema(api, task)) if words else {}
            print_line(api.post("jobs", task=task, payload=payload)["job_id"])

    def _try(self, action: Callable[[], object]) -> None:
        """Do it; an error is shown, and ends nothing."""
        try:
            action()
        except OperatorError as error:
            fail(error)


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))
