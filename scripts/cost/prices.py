"""The price table: what AWS asked for a unit, where that was read and when."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

PRICES_FILE = Path(__file__).parent / "prices.toml"
HOURS = 730  # of a month, as AWS's own calculator counts


@dataclass(frozen=True)
class Price:
    """USD for one `unit`; without `read_at` nobody has checked it against a source."""

    usd: float
    unit: str
    page: str
    read_at: str = ""
    as_of: str = ""

    @property
    def monthly(self) -> float:
        """Of what is there all the time; a price for a month is that already."""
        return self.usd * (HOURS if self.unit.endswith("-hour") else 1)


@dataclass(frozen=True)
class Prices:
    """The table: one region's list prices, by key, and the day they were looked up."""

    region: str
    checked: str
    by_key: dict[str, Price]

    def __getitem__(self, key: str) -> Price:
        return self.by_key[key]


def read_prices(file: Path = PRICES_FILE) -> Prices:
    """Out of the file that lies beside this one."""
    found = tomllib.loads(file.read_text("utf-8"))
    return Prices(
        region=found["region"],
        checked=found["checked"].isoformat(),
        by_key={key: Price(**value) for key, value in found.items() if isinstance(value, dict)},
    )
