"""Which spans the SDK keeps."""

from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

RESET = "SELECT pg_advisory_unlock_all();"


class Inside(Sampler):
    """The sampler of the SDK's variables, but for what is no query or call of a request or job.

    Those are the queue's own statements, in a thread of its own too, and the statement by which
    asyncpg's pool takes a connection back.
    """

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def should_sample(  # noqa: PLR0917 - the SDK gives some of them by position
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        if kind is SpanKind.CLIENT:
            parent = trace.get_current_span(parent_context).get_span_context()
            if not parent.is_valid or _is_reset(attributes):
                return SamplingResult(Decision.DROP)
        return self._sampler.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        return f"Inside{{{self._sampler.get_description()}}}"


def _is_reset(attributes: Attributes) -> bool:
    return str((attributes or {}).get("db.query.text", "")).startswith(RESET)
