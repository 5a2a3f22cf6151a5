"""The service's one door to AWS: boto3 clients with time limits and retries."""

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_ses import SESClient

CONFIG = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "max_attempts": 3})


def ses_client(region: str | None) -> "SESClient":
    """Amazon SES in `region`, or in the region of the environment."""
    return boto3.client("ses", region_name=region, config=CONFIG)
