"""What was measured, as it is kept in results.json."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Result:
    """One contender in one case of one measure, once."""

    measure: str
    case: str
    contender: str
    round: int
    values: dict[str, Any]

    def line(self) -> str:
        shown = "  ".join(
            f"{key} {value:,.3g}" if isinstance(value, float) else f"{key} {value:,}"
            for key, value in self.values.items()
            if isinstance(value, int | float)
        )
        return f"{self.measure:<9} {self.case:<11} {self.contender:<13} {shown}"


@dataclass
class Results:
    """Everything of one run."""

    command: str
    date: str
    machine: dict[str, str]
    sizes: dict[str, Any]
    minutes: float = 0.0
    results: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        self.results.append(result)

    def by_round(self, measure: str, case: str, contender: str, key: str) -> dict[int, float]:
        """One figure of every round in which it was measured."""
        return {
            found.round: found.values[key]
            for found in self.results
            if (found.measure, found.case, found.contender) == (measure, case, contender)
            and key in found.values
        }

    def values(self, measure: str, case: str, contender: str, key: str) -> list[float]:
        """One figure of every round, in their order."""
        return list(self.by_round(measure, case, contender, key).values())

    def median(self, measure: str, case: str, contender: str, key: str) -> float | None:
        """The middle round's figure; None where it was not measured."""
        values = self.values(measure, case, contender, key)
        return median(values) if values else None

    def waits_ms(self, case: str, contender: str) -> list[float]:
        """Every wait of the pick-up measure, of all rounds together, in order."""
        return sorted(
            wait / 1000
            for found in self.results
            if (found.measure, found.case, found.contender) == ("pickup", case, contender)
            for wait in found.values["waits_us"]
        )

    def ratios(
        self, measure: str, case: str, ours: str, other: str, key: str = "rate"
    ) -> list[float]:
        """Ours divided by another's, round by round: both met the same machine."""
        mine, others = (self.by_round(measure, case, name, key) for name in (ours, other))
        return [mine[number] / others[number] for number in mine if others.get(number)]

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        head = {key: value for key, value in asdict(self).items() if key != "results"}
        lines = ",\n".join(json.dumps(_rounded(asdict(found))) for found in self.results)
        path.write_text(f'{json.dumps(head, indent=1)[:-2]},\n "results": [\n{lines}\n]}}\n')

    @classmethod
    def load(cls, path: Path) -> "Results":
        read = json.loads(path.read_text())
        return cls(**read | {"results": [Result(**found) for found in read["results"]]})


def at_share(ordered: list[float], share: float) -> float:
    """What so large a share of the values does not exceed."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return float(f"{value:.5g}") if isinstance(value, float) else value
