"""Where the figures of the last run are."""

from pathlib import Path

RESULTS = Path(__file__).parents[2] / ".moorage" / "faults.jsonl"
