"""One log line for an event: JSON for machines, aligned colours for people at a terminal."""

import logging
import sys

import structlog

from service import metrics
from service.settings import Settings

# Libraries that say at info what ours already says, or that may print a job's payload.
QUIET = dict.fromkeys(("saq", "uvicorn", "botocore", "httpx"), logging.WARNING)


def configure(settings: Settings, process: str) -> None:
    """Send every logger of this process, the libraries' too, to stdout in one form."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    is_pretty = settings.log_format == "pretty" or (
        settings.log_format == "auto" and sys.stdout.isatty()
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if is_pretty else "iso", utc=not is_pretty),
        structlog.processors.StackInfoRenderer(),
    ]
    last: list[structlog.typing.Processor]
    if is_pretty:
        # plain tracebacks: the rich ones print local variables, payloads among them
        plain = structlog.dev.plain_traceback
        last = [structlog.dev.ConsoleRenderer(exception_formatter=plain, pad_event_to=24)]
    else:
        shared.append(lambda _logger, _method, event: {**event, "process": process})
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        # a call below the level then does nothing at all, not even look the level up
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    bare = logging.StreamHandler(sys.stdout)
    bare.setFormatter(logging.Formatter("%(message)s"))
    values = logging.getLogger(metrics.LOGGER)
    values.handlers, values.propagate, values.disabled = [bare], False, is_pretty
    values.setLevel(logging.INFO)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name, quiet in QUIET.items():
        logging.getLogger(name).setLevel(max(level, quiet))
    logging.captureWarnings(True)
