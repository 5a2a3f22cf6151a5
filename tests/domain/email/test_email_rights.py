"""The right to send e-mail, and the way to SES, in the templates of a stage."""

from tests.stacks.templates import Templates, deployed, stage_of


def senders(templates: Templates) -> list[str]:
    """Whom roles of the service may send as."""
    return [
        statement["Condition"]["StringEquals"]["ses:FromAddress"]
        for policy in templates.all("AWS::IAM::ManagedPolicy")
        for statement in policy.get("PolicyDocument.Statement")
        if statement.get("Sid") == "SendEmail"
    ]


def test_a_stage_without_a_sender_may_send_nothing() -> None:
    assert senders(deployed(stage_of("dev"))) == []


def test_workers_may_send_as_the_stages_sender_alone() -> None:
    stage = stage_of("dev", email_from="hello@example.com", egress="endpoints")
    templates = deployed(stage)
    assert senders(templates) == ["hello@example.com"]
    policy = templates.one("AWS::IAM::ManagedPolicy", "Domainemail")
    roles = {role["Ref"][:-8] for role in policy.get("Roles")}
    assert roles == {"WorkerRolesTaskRole", "WorkerRolesTask"}
    assert templates.one("AWS::EC2::VPCEndpoint", "NetworkVpcEmailEndpoint")
