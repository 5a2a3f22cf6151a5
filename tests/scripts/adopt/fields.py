"""The tables of docs/from-copilot.md; `make docs` writes them anew."""

from collections.abc import Iterable

from scripts.adopt.rules import (
    OF_APP_RUNNER,
    OF_ENVIRONMENTS,
    OF_JOBS,
    OF_SERVICES,
    OF_STATIC_SITES,
    Kind,
    Rule,
)

MARKS = {Kind.TRANSLATED: "yes", Kind.OTHERWISE: "otherwise", Kind.NONE: "**no**"}
HEAD = "| Field | In `stages.toml` | Here |\n|---|---|---|\n"


def tables() -> str:
    """Each rule once, with what it says."""
    of_jobs = [rule for rule in OF_JOBS if rule not in OF_SERVICES]
    of_app_runner = [rule for rule in OF_APP_RUNNER if rule not in OF_SERVICES]
    parts: dict[str, Iterable[Rule]] = {
        "Services": OF_SERVICES,
        "A Scheduled Job, where it differs": of_jobs,
        "A Request-Driven Web Service, where it differs": of_app_runner,
        "Environments": [rule for rule in OF_ENVIRONMENTS if rule not in OF_SERVICES],
        "A Static Site": [rule for rule in OF_STATIC_SITES if rule not in OF_SERVICES],
    }
    return "\n".join(f"### {title}\n\n{_table(rules)}" for title, rules in parts.items())


def _table(rules: Iterable[Rule]) -> str:
    rows = (f"| `{rule.pattern}` | {MARKS[rule.kind]} | {_here(rule)} |\n" for rule in rules)
    return HEAD + "".join(rows)


def _here(rule: Rule) -> str:
    return rule.here.replace("|", "\\|")
