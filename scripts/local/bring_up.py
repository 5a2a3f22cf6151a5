"""Starts the local twin and deploys the code of this checkout to it, step by step."""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scripts.api import Api
from scripts.aws import Aws
from scripts.clock import Clock
from scripts.ecs.stack_release import bring_forward, outputs_before
from scripts.ecs.steady import await_steady
from scripts.errors import OperatorError, OverdueError
from scripts.host.address import Address
from scripts.host.environment import Environment
from scripts.host.local_secrets import LocalSecrets
from scripts.target import find_stage, find_target
from scripts.terminal.render import Screen
from scripts.twin.client.bootstrap import bootstrap, is_bootstrapped
from scripts.twin.client.cdk import Cdk
from scripts.twin.client.launch import launch
from scripts.twin.client.secrets import fill
from scripts.twin.client.shell import write_env
from scripts.twin.client.state import Twin
from service.contract import LOCAL_STAGE, EnvVar
from stacks.config.naming import Output

READY_SECONDS = 60
POLL_SECONDS = 0.1


def bring_up(
    home: Path, environment: Mapping[str, str], screen: Screen
) -> tuple[Twin, list[dict[str, Any]], str]:
    """Do every step and show its time on `screen`.

    Returns the twin, the tasks of its API, and an address that opens its console signed in.

    An `OperatorError` names the failed step.
    """
    stage = find_stage(LOCAL_STAGE)
    values = LocalSecrets(home, environment).values(stage)  # before anything starts for nothing
    cdk = Cdk(home, environment)
    pool = ThreadPoolExecutor(1)
    synthesis = pool.submit(_timed_synthesis, cdk)
    try:
        before = Twin.load(home)
        with step(screen, "start the local twin") as done:
            twin = launch(home, environment, screen.say)
            was_running = twin == before
            done(f"The twin {'runs already' if was_running else 'runs'}: AWS at {twin.endpoint}")
        balancer = Address("localhost", urlsplit(twin.url).port or 0)
        wanted = Environment(environment, home).address.port
        if not was_running and balancer.port != wanted:
            screen.say(f"Port {wanted} is taken, so the load balancer is at {twin.url}")
        aws = Aws(find_target(LOCAL_STAGE, home=home))
        fill(aws.call, stage, values)
        if not is_bootstrapped(aws.call):
            with step(screen, "bootstrap") as done:
                bootstrap(aws.call)
                done("Bootstrapped")
        with step(screen, "synthesize stage local"):
            _report(screen, synthesis)
    except BaseException:
        cdk.end()
        raise
    finally:
        pool.shutdown()
    outputs = outputs_before(aws)
    with step(screen, "deploy") as done:
        cdk.deploy(twin)
        done("Deployed the stacks of stage local")
    aws = Aws(find_target(LOCAL_STAGE, home=home))  # reads the outputs again
    with step(screen, "wait for the ECS services") as done:
        bring_forward(aws, outputs, screen.say, Clock())
        await_steady(aws, screen.say, Clock())
        done("The ECS services are steady")
    with step(screen, "wait for the API") as done:
        _await_ready(balancer, twin)
        done(f"The API is healthy at {twin.url}")
    secret = aws.call(
        "secretsmanager", "get_secret_value", SecretId=aws.output(Output.API_KEY_SECRET)
    )
    key = secret["SecretString"].split()[0]
    write_env(twin, {EnvVar.API_KEY: key})
    with step(screen, "make a link to the console"):
        console = Api(aws, key=key).console_link()
    return twin, balancer.tasks(key), console


@contextmanager
def step(screen: Screen, name: str) -> Iterator["Done"]:
    """One step: the caller says when it is done; an error names it."""
    done = Done(screen)
    try:
        yield done
    except OperatorError as error:
        raise type(error)(f"could not {name}: {error}", error.hint) from error


class Done:
    """Prints that a step is done, and how long it took."""

    def __init__(self, screen: Screen) -> None:
        self._screen, self._began = screen, time.monotonic()

    def __call__(self, text: str) -> None:
        self._screen.step(text, time.monotonic() - self._began)


def _timed_synthesis(cdk: Cdk) -> tuple[bool, float]:
    began = time.monotonic()
    return cdk.synthesize(), time.monotonic() - began


def _report(screen: Screen, synthesis: "Future[tuple[bool, float]]") -> None:
    was_done, seconds = synthesis.result()
    if was_done:
        screen.step("Synthesized stage local, meanwhile", seconds)
    else:
        screen.step("Nothing to synthesize: the code has not changed", seconds)


def _await_ready(address: Address, twin: Twin) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while (reason := address.why_not_ready()) is not None:
        if time.monotonic() > deadline:
            raise OverdueError(
                f"{twin.url} is not ready after {READY_SECONDS} s: {reason}",
                f"`moor logs api` shows what it says, {twin.log} what the twin says.",
            )
        time.sleep(POLL_SECONDS)
