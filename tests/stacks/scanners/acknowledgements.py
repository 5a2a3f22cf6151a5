"""The table of docs/security.md; `make docs` writes it anew."""

from tests.stacks.templates import STAGES, of_stage, stage_of

HEAD = "| Rule | Construct | Stages | Reason |\n|---|---|---|---|\n"


def table() -> str:
    """Every acknowledged finding of every stage, sorted."""
    stages: dict[tuple[str, str, str], list[str]] = {}
    # What a pool has, the default pool has too: tests/stacks/test_pools_are_alike.py.
    for stage in (name for name in STAGES if not stage_of(name).pools):
        prefix = of_stage(stage).stage.names.prefix
        for rule, path, reason in of_stage(stage).acknowledged():
            rule_name = rule.replace(prefix, "{app}-{stage}")
            where = path.replace(f"{prefix}-", "")
            stages.setdefault((rule_name, where, reason), []).append(stage)
    rows = [
        f"| `{rule}` | `{where}` | {', '.join(found)} | {reason} |\n"
        for (rule, where, reason), found in sorted(stages.items())
    ]
    return HEAD + "".join(rows)
