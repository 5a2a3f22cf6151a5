"""Synthesizes the templates of a stage from the code and stages.toml as they are now."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from scripts.errors import OperatorError, OverdueError
from scripts.terminal.answer import say

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 300  # the first synthesis on a machine unpacks the CDK for twenty seconds
# The only variables of the caller that app.py gets: settings of Python, Node or the CDK could
# change the templates.
KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "XDG_CACHE_HOME")


@contextmanager
def synthesized(stage: str, **keys: str) -> Iterator[Path]:
    """A folder of the CDK with the stage's templates, which is removed after the block.

    `keys` are keys of stages.toml, as in `cdk -c key=value`. No call goes to AWS. Raises
    `OperatorError` with what is wrong in the configuration.
    """
    say(f"Synthesizing stage {stage}")
    with tempfile.TemporaryDirectory(prefix="moorage-synth-") as folder:
        _run(Path(folder), {"stage": stage, **keys})
        yield Path(folder)


def _run(folder: Path, keys: Mapping[str, str]) -> None:
    flags = json.loads((ROOT / "cdk.json").read_text("utf-8"))["context"]
    env = {name: value for name, value in os.environ.items() if name in KEPT}
    # The two variables that the CDK's command line sets for the app, which is not needed here.
    env |= {"CDK_OUTDIR": str(folder), "CDK_CONTEXT_JSON": json.dumps({**flags, **keys})}
    try:
        done = subprocess.run(
            [sys.executable, "app.py"],
            cwd=ROOT,
            env=env,
            text=True, capture_output=True, stdin=subprocess.DEVNULL, check=False,
            timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise OverdueError(f"app.py did not end within {TIMEOUT_SECONDS} s") from None
    if done.returncode:
        said = done.stderr.strip() or "app.py failed without a message"
        raise OperatorError(said.removeprefix("error: "), "Mend stages.toml.")
