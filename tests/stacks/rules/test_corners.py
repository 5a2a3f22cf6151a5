"""What must hold in every stage's templates does so in the corners of the configuration."""

import pytest

from tests.stacks.rules.test_rules import RULES
from tests.stacks.templates import synthesize

CORNERS: dict[str, dict[str, object]] = {
    "sleeping workers": {"worker_min_count": 0, "worker_spot_percent": 70},
    "a domain of its own": {
        "domain_name": "api.example.com",
        "hosted_zone_name": "example.com",
        "hosted_zone_id": "Z0123456789",
        "egress": "endpoints",
        "email_from": "hello@example.com",
    },
    "nothing runs": {
        **dict.fromkeys(
            (
                "api_min_count",
                "api_desired_count",
                "worker_min_count",
                "worker_desired_count",
                "database_min_acu",
            ),
            0,
        ),
        "database_reader": True,
    },
    "a database of one size": {"database_min_acu": 2, "database_max_acu": 2},
    "given counts": {"worker_desired_count": 3, "api_desired_count": 2, "availability_zones": 3},
}


@pytest.mark.parametrize("corner", CORNERS)
def test_rules_hold_in_the_corners(corner: str) -> None:
    templates = synthesize("dev", **CORNERS[corner])
    for rule in RULES:
        rule(templates)
