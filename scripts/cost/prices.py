"""The price table: AWS's price of a unit, where it was read and when."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

PRICES_FILE = Path(__file__).parent / "prices.toml"
HOURS = 730  # in a month, as AWS's own calculator counts


@dataclass(frozen=True)
class Price:
    """USD for one `unit`; without `read_at` no source for it is known."""

    usd: float
    unit: str
    page: str
    read_at: str = ""
    as_of: str = ""

    @property
    def monthly(self) -> float:
        """The price of one unit that exists for the whole month."""
        return self.usd * (HOURS if self.unit.endswith("-hour") else 1)


@dataclass(frozen=True)
class Prices:
    """One region's list prices by key, and the day on which they were read."""

    region: str
    checked: str
    by_key: dict[str, Price]

    def __getitem__(self, key: str) -> Price:
        return self.by_key[key]


def read_prices(file: Path = PRICES_FILE) -> Prices:
    """Read prices.toml, which lies beside this file."""
    found = tomllib.loads(file.read_text("utf-8"))
    return Prices(
        region=found["region"],
        checked=found["checked"].isoformat(),
        by_key={key: Price(**value) for key, value in found.items() if isinstance(value, dict)},
    )
