"""The templates of a stage as its code and stages.toml are now, for commands that read them."""

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
SECONDS = 300  # the first one on a machine unpacks the CDK, for twenty
# Of the caller's environment nothing else: settings of Python, Node or the CDK would change what
# is made.
KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "XDG_CACHE_HOME")


@contextmanager
def synthesized(stage: str, **keys: str) -> Iterator[Path]:
    """A folder of the CDK with the stage's templates; it is gone after the block.

    `keys` are keys of stages.toml, as `cdk -c key=value` gives them. AWS is not asked. Raises
    `OperatorError` with what is wrong in the configuration.
    """
    say(f"Synthesizing stage {stage}")
    with tempfile.TemporaryDirectory(prefix="moorage-synth-") as folder:
        _run(Path(folder), {"stage": stage, **keys})
        yield Path(folder)


def _run(folder: Path, keys: Mapping[str, str]) -> None:
    flags = json.loads((ROOT / "cdk.json").read_text("utf-8"))["context"]
    env = {name: value for name, value in os.environ.items() if name in KEPT}
    # What the CDK's command line sets for the app: it is not needed for more than that.
    env |= {"CDK_OUTDIR": str(folder), "CDK_CONTEXT_JSON": json.dumps({**flags, **keys})}
    try:
        done = subprocess.run(
            [sys.executable, "app.py"],
            cwd=ROOT,
            env=env,
            text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise OverdueError(f"app.py did not end within {SECONDS} s") from None
    if done.returncode:
        said = done.stderr.strip() or "app.py ended without a word"
        raise OperatorError(said.removeprefix("error: "), "stages.toml decides this.")
