"""The message of an alarm to its SNS topics when its state changes, unless its actions are off.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
"""

import json

from moto.cloudwatch.models import Alarm
from moto.sns.models import sns_backends


def send(alarm: Alarm, before: str) -> None:
    """Publish the change from the state `before` to every topic that exists."""
    if not alarm.actions_enabled:
        return
    actions = {
        "ALARM": alarm.alarm_actions,
        "OK": alarm.ok_actions,
        "INSUFFICIENT_DATA": alarm.insufficient_data_actions,
    }[alarm.state_value]
    _, _, _, region, account, *_ = alarm.alarm_arn.split(":")
    backend = sns_backends[account][region]
    for topic in actions:
        if topic in backend.topics:
            text = json.dumps(_message(alarm, before, account, region))
            subject = f'{alarm.state_value}: "{alarm.name}" in {region}'
            backend.publish(text, arn=topic, subject=subject[:100])  # SNS's maximum


def _message(alarm: Alarm, before: str, account: str, region: str) -> dict[str, str]:
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": account,
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": before,
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": f"{alarm.state_updated_timestamp:%Y-%m-%dT%H:%M:%S.000+0000}",
        "Region": region,
    }
