"""The rights to send e-mail, in the templates of a stage."""

from stacks.config.read_stage import read_stage
from stacks.domain.email import endpoints
from tests.stacks.templates import Templates, of_stage, synthesize


def rights(templates: Templates) -> list[str]:
    """The senders that roles of the service may send as."""
    return [
        statement["Condition"]["StringEquals"]["ses:FromAddress"]
        for policy in templates.all("AWS::IAM::ManagedPolicy")
        for statement in policy.get("PolicyDocument.Statement")
        if statement.get("Sid") == "SendEmail"
    ]


def test_a_stage_without_a_sender_may_send_nothing() -> None:
    assert rights(of_stage("dev")) == []
    assert endpoints(read_stage("dev", {})) == {}


def test_workers_may_send_as_the_stages_sender_alone() -> None:
    sender = {"email_from": "hello@example.com"}
    assert set(rights(synthesize("dev", **sender))) == {"hello@example.com"}
    assert endpoints(read_stage("dev", sender)).keys() == {"Email"}
