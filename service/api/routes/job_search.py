"""The filters of a list of jobs as query parameters."""

from typing import Annotated

from litestar.params import QueryParameter

Task = Annotated[str | None, QueryParameter(description="Only of this task")]
OfQueue = Annotated[str | None, QueryParameter(name="queue", description="Only of this queue")]
Worker = Annotated[
    str | None, QueryParameter(description="Only what this worker runs, or ran last")
]
Since = Annotated[
    str | None,
    QueryParameter(description="Only created then or later: 2026-11-28T10:00Z; UTC without a zone"),
]
Until = Annotated[str | None, QueryParameter(description="Only created before")]
ErrorText = Annotated[
    str | None,
    QueryParameter(
        name="error", description="Only failed or aborted with this text in their error"
    ),
]
Key = Annotated[
    str | None, QueryParameter(description="The job with this key; `welcome-*`: keys that begin so")
]
PayloadFields = Annotated[
    list[str] | None,
    QueryParameter(
        name="payload",
        description="Only with this field in a payload that is still kept: `user.id=7`; may be "
        "given several times",
    ),
]
