"""Starts what the environment asks for."""

from service.settings import Settings

LACKING = (
    "{} is set, but this image lacks the libraries: set telemetry in stages.toml, or build it with "
    "--build-arg REQUIREMENTS=requirements-telemetry.lock. Nothing is sent"
)


def start(settings: Settings, process: str) -> list[str]:
    """Start telemetry and error reports, before the first event loop of the process.

    Returns a line for each that was asked for and cannot be had: the process runs without it.
    """
    problems = []
    if settings.sends_telemetry:
        try:
            from service.telemetry import open_telemetry  # noqa: PLC0415 - its libraries
        except ImportError:
            problems.append(LACKING.format("OTEL_EXPORTER_OTLP_ENDPOINT"))
        else:
            open_telemetry.start(settings, process)
    if settings.sentry_dsn:
        try:
            from service.telemetry import sentry  # noqa: PLC0415 - its library
        except ImportError:
            problems.append(LACKING.format("SENTRY_DSN"))
        else:
            if problem := sentry.start(settings, process):
                problems.append(problem)
    return problems
