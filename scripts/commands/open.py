"""`moor open`: a stage in the browser."""

import webbrowser
from enum import StrEnum
from typing import Annotated
from urllib.parse import quote

import typer

from scripts.aws import Aws, connect
from scripts.errors import OperatorError
from scripts.terminal.answer import print_line, say
from scripts.terminal.options import DEFAULT_STAGE, StageOption
from service.contract import UI_PATH
from stacks.config.naming import Output


class Page(StrEnum):
    """What can be opened."""

    API = "api"
    JOBS = "jobs"
    SCHEMA = "schema"
    LOGS = "logs"
    DASHBOARD = "dashboard"
    CLUSTER = "cluster"


# Of the partitions that have another one.
CONSOLES = {"cn-": "console.amazonaws.cn", "us-gov-": "console.amazonaws-us-gov.com"}
OF_API = {Page.API: "", Page.JOBS: UI_PATH, Page.SCHEMA: "/schema"}


def open_(
    page: Annotated[Page, typer.Argument(help="What of it.")] = Page.API,
    stage: StageOption = DEFAULT_STAGE,
    only_print: Annotated[bool, typer.Option("--print", help="Print its address only.")] = False,
) -> None:
    """Open a page of the stage in the browser: its API, or where AWS shows it."""
    address = find_address(connect(stage), page)
    print_line(address)
    if not only_print and not webbrowser.open(address):
        say("There is no browser here; the address is above.")


def find_address(aws: Aws, page: Page) -> str:
    """Of that page. Raises `OperatorError` for a page of AWS's console where there is no AWS."""
    if page in OF_API:
        return aws.output(Output.URL).rstrip("/") + OF_API[page]
    if aws.target.is_local:
        raise OperatorError(
            f"the local twin has no page for {page}",
            f"`moor {'logs --follow' if page is Page.LOGS else 'status --watch'}` shows it.",
        )
    names = aws.names
    match page:
        case Page.LOGS:
            # The console's own escaping of "/ecs/app-stage" in what follows the hash.
            prefix = quote(f"/ecs/{names.prefix}", safe="").replace("%", "$25")
            part = f"logsV2:log-groups$3FlogGroupNameFilter$3D{prefix}"
            return console(aws.region, "cloudwatch", part)
        case Page.DASHBOARD:
            return console(aws.region, "cloudwatch", f"dashboards/dashboard/{names.dashboard}")
        case _:
            cluster = aws.output(Output.CLUSTER)
            return f"{_console(aws.region)}/ecs/v2/clusters/{cluster}/services?region={aws.region}"


def console(region: str, service: str, part: str) -> str:
    """A page of AWS's console."""
    return f"{_console(region)}/{service}/home?region={region}#{part}"


def _console(region: str) -> str:
    # https://docs.aws.amazon.com/awsconsolehelpdocs/latest/gsg/getting-started.html
    for beginning, domain in CONSOLES.items():
        if region.startswith(beginning):
            return f"https://{region}.{domain}"
    return f"https://{region}.console.aws.amazon.com"
