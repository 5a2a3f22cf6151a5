"""What may stand in a field of the filter: told as somebody comes to it."""

from typing import Any

import msgspec
from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from service.console.door import signed_in
from service.console.refusals import REFUSALS
from service.contract import CONSOLE_PATH
from service.queue.interface import JobQueue

SUGGESTIONS_MAX = 100

Asked = Request[Any, Any, Any]


@get("/suggestions/{field:str}", include_in_schema=False)
async def suggest(
    field: FromPath[str], request: Asked, queue: NamedDependency[JobQueue]
) -> Response[bytes]:
    """The live workers; or what the newest failed jobs have in their errors, the most first."""
    if field == "worker":
        found = [each.id for each in await queue.list_workers()]
    elif field == "error":
        found = [each.text for each in (await queue.causes()).items if each.text]
    else:
        raise NotFoundException
    distinct = list(dict.fromkeys(found))[:SUGGESTIONS_MAX]
    return Response(msgspec.json.encode(distinct), media_type="application/json")


router = Router(
    CONSOLE_PATH,
    route_handlers=[suggest],
    guards=[signed_in],
    exception_handlers=REFUSALS,
    include_in_schema=False,
)
