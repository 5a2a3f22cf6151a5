"""What CloudFormation does to a live stage is found from its templates, by AWS's own schemas."""

import copy
from typing import Any

import pytest

from scripts.preflight.changes import Change, Kind, changes

Stack = dict[str, Any]
KEY = {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {}}}
VPC = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}


def stack(exports: dict[str, Any] | None = None, **resources: Any) -> Stack:
    outputs = {
        f"Output{number}": {"Value": value, "Export": {"Name": name}}
        for number, (name, value) in enumerate((exports or {}).items())
    }
    return {"Resources": resources, "Outputs": outputs}


def of(type: str, **properties: Any) -> dict[str, Any]:
    return {"Type": type, "Properties": properties}


def found(before: Stack, after: Stack, **given: str) -> list[Change]:
    return changes({"one": before}, {"one": after}, **given)


def kinds(changes: list[Change]) -> dict[str, Kind]:
    return {each.id: each.kind for each in changes if each.is_refused}


def subnet(block: str, vpc: str = "Vpc") -> dict[str, Any]:
    return of("AWS::EC2::Subnet", VpcId={"Ref": vpc}, CidrBlock=block)


def listener(port: int) -> dict[str, Any]:
    return of("AWS::ElasticLoadBalancingV2::Listener", LoadBalancerArn={"Ref": "Door"}, Port=port)


DOOR = of("AWS::ElasticLoadBalancingV2::LoadBalancer", Scheme="internet-facing")
GROUP = of("AWS::EC2::SecurityGroup", GroupDescription="door", VpcId={"Ref": "Vpc"})


def test_the_same_templates_change_nothing() -> None:
    template = stack(Vpc=VPC, One=subnet("10.0.0.0/24"), Door=DOOR, Web=listener(80))
    assert found(template, copy.deepcopy(template)) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (of("AWS::RDS::DBCluster", KmsKeyId="a"), of("AWS::RDS::DBCluster", KmsKeyId="b")),
        (of("AWS::RDS::DBCluster", DatabaseName="a"), of("AWS::RDS::DBCluster", DatabaseName="b")),
        (of("AWS::S3::Bucket", BucketName="a"), of("AWS::S3::Bucket", BucketName="b")),
        (of("AWS::S3::Bucket"), of("AWS::S3::Bucket", BucketName="b")),
        (of("AWS::SecretsManager::Secret", Name="a"), of("AWS::SecretsManager::Secret", Name="b")),
        (of("AWS::Logs::LogGroup", LogGroupName="a"), of("AWS::Logs::LogGroup", LogGroupName="b")),
        (of("AWS::DynamoDB::Table", TableName="a"), of("AWS::DynamoDB::Table", TableName="b")),
        (of("AWS::SQS::Queue", FifoQueue=True), of("AWS::SQS::Queue")),
        (of("AWS::KMS::Key"), of("AWS::S3::Bucket")),
    ],
)
def test_replacing_what_holds_data_is_refused(before: Any, after: Any) -> None:
    (change,) = found(stack(It=before), stack(It=after))
    assert (change.kind, change.is_refused) == (Kind.REPLACED, True)
    assert "what it holds is not moved" in str(change)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (of("AWS::RDS::DBCluster", Port=1), of("AWS::RDS::DBCluster", Port=2)),
        (of("AWS::Logs::LogGroup", RetentionInDays=1), of("AWS::Logs::LogGroup")),
        (of("AWS::SQS::Queue", DelaySeconds="1"), of("AWS::SQS::Queue", DelaySeconds=1)),
        (listener(80), listener(81)),
        (of("Custom::Ours", Other=1), of("Custom::Ours", Other=2)),
    ],
)
def test_what_aws_changes_in_place_is_no_finding(before: Any, after: Any) -> None:
    assert found(stack(Door=DOOR, It=before), stack(Door=DOOR, It=after)) == []


def test_what_points_at_a_replaced_resource_is_replaced_with_it() -> None:
    def cluster(key: str) -> Stack:
        return stack(
            Key=KEY,
            Cluster=of("AWS::RDS::DBCluster", KmsKeyId=key),
            Writer=of("AWS::RDS::DBInstance", DBClusterIdentifier={"Ref": "Cluster"}),
            Alarm=of("AWS::CloudWatch::Alarm", Dimensions=[{"Ref": "Cluster"}]),
        )

    changed = found(cluster("a"), cluster("b"))
    assert [(each.id, each.is_refused) for each in changed] == [
        ("Cluster", True),
        ("Writer", False),
    ]


def test_a_second_one_on_a_live_port_collides_and_one_that_stays_does_not() -> None:
    before = stack(Door=DOOR, Http=listener(80))
    assert kinds(found(before, stack(Door=DOOR, Redirect=listener(80)))) == {
        "Redirect": Kind.COLLIDES
    }
    assert found(before, stack(Door=DOOR, Http=listener(80), Https=listener(443))) == []


@pytest.mark.parametrize(
    "resource",
    [
        of("AWS::ECS::Service", ServiceName="api", Cluster="one"),
        of("AWS::ECS::Cluster", ClusterName="one"),
        of("AWS::CloudWatch::Dashboard", DashboardName="one"),
        of("AWS::IAM::Role", RoleName="one"),
        of("AWS::WAFv2::WebACL", Name="one", Scope="REGIONAL"),
        of("AWS::ElasticLoadBalancingV2::TargetGroup", Name="one"),
        of("AWS::S3::BucketPolicy", Bucket="one"),
        of("AWS::EC2::Route", RouteTableId="one", DestinationCidrBlock="0.0.0.0/0"),
        of("AWS::Route53::RecordSet", Name="a.example.com", HostedZoneId="Z1", Type="A"),
        of("AWS::ApplicationAutoScaling::ScalableTarget", ResourceId="a", ServiceNamespace="ecs",
           ScalableDimension="ecs:service:DesiredCount"),
        of("AWS::EC2::SecurityGroupIngress", GroupId="one", IpProtocol="tcp", FromPort=1, ToPort=2),
    ],
)  # fmt: skip
def test_what_is_one_of_a_kind_collides_under_another_logical_id(resource: Any) -> None:
    assert kinds(found(stack(Old=resource), stack(New=resource))) == {"New": Kind.COLLIDES}


def test_names_that_aws_makes_never_collide() -> None:
    for type in ("AWS::ECS::Service", "AWS::IAM::Role", "AWS::RDS::DBCluster", "AWS::SNS::Topic"):
        made = found(stack(Old=of(type)), stack(New=of(type)))
        assert [each for each in made if each.kind is Kind.COLLIDES] == []


def test_a_named_resource_that_is_replaced_collides_with_itself() -> None:
    def service(role: str) -> Stack:
        return stack(Api=of("AWS::ECS::Service", ServiceName="api", Cluster="c", Role=role))

    (replaced, collides) = found(service("a"), service("b"))
    assert (replaced.kind, collides.kind) == (Kind.REPLACED, Kind.COLLIDES)
    assert collides.other == "one/Api"


def test_what_is_deleted_before_it_is_made_again_collides_with_nothing() -> None:
    def table(name: str) -> Stack:
        return stack(
            It=of("AWS::EC2::SubnetRouteTableAssociation", SubnetId="s", RouteTableId=name)
        )

    assert kinds(found(table("a"), table("b"))) == {}


def test_what_the_schema_calls_conditional_is_said_and_not_refused() -> None:
    (change,) = found(
        stack(It=of("AWS::ECS::Service", LaunchType="FARGATE")), stack(It=of("AWS::ECS::Service"))
    )
    assert (change.kind, change.is_refused) == (Kind.MAY_BE_REPLACED, False)


def test_subnets_that_overlap_live_ones_collide_in_their_vpc_alone() -> None:
    before = stack(Vpc=VPC, Other=VPC, One=subnet("10.0.2.0/26"))
    wider, beside = subnet("10.0.2.0/24"), subnet("10.0.3.0/24")
    elsewhere = subnet("10.0.2.0/24", vpc="Other")
    old = before["Resources"]
    assert kinds(found(before, stack(**old, Two=wider))) == {"Two": Kind.COLLIDES}
    assert found(before, stack(**old, Two=beside)) == []
    assert found(before, stack(**old, Two=elsewhere)) == []


def test_in_a_replaced_vpc_everything_is_new_and_nothing_collides() -> None:
    before = stack(Vpc=VPC, One=subnet("10.0.2.0/26"), Group=GROUP)
    moved = of("AWS::EC2::VPC", CidrBlock="10.0.0.0/8")
    changed = found(before, stack(Vpc=moved, One=subnet("10.0.2.0/26"), Group=GROUP))
    assert [(each.id, each.kind) for each in changed] == [
        ("Vpc", Kind.REPLACED),
        ("One", Kind.REPLACED),
        ("Group", Kind.REPLACED),
    ]


def test_an_export_that_another_stack_uses_neither_goes_nor_changes() -> None:
    user = {"Group": of("AWS::EC2::SecurityGroup", VpcId={"Fn::ImportValue": "vpc"})}
    before = {"one": stack({"vpc": {"Ref": "Vpc"}}, Vpc=VPC), "two": stack(**user)}
    gone = {"one": stack(Vpc=VPC), "two": stack()}
    moved = {
        "one": stack({"vpc": {"Ref": "Vpc"}}, Vpc=of("AWS::EC2::VPC", CidrBlock="10.0.0.0/8")),
        "two": stack(**user),
    }
    for after in (gone, moved):
        used = [each for each in changes(before, after) if each.kind is Kind.EXPORT_IN_USE]
        assert [(each.id, each.other, each.is_refused) for each in used] == [
            ("vpc", "two/Group", True)
        ]
    assert changes(before, copy.deepcopy(before)) == []


def test_an_export_that_nobody_uses_may_go() -> None:
    assert changes({"one": stack({"vpc": {"Ref": "Vpc"}}, Vpc=VPC)}, {"one": stack(Vpc=VPC)}) == []


def test_removing_what_holds_data_is_refused_and_a_log_may_go() -> None:
    before = stack(
        Bucket=of("AWS::S3::Bucket"),
        Log=of("AWS::Logs::LogGroup"),
        Key=KEY,
        Topic=of("AWS::SNS::Topic"),
    )
    gone = found(before, stack())
    assert {each.id: each.is_refused for each in gone} == {
        "Bucket": True,
        "Log": False,
        "Key": True,
    }


def test_a_region_that_is_written_down_is_the_one_that_is_asked_for() -> None:
    def role(region: Any, account: Any) -> Stack:
        name = {"Fn::Join": ["", ["arn:", region, ":", account]]}
        return stack(It=of("AWS::S3::Bucket", BucketName=name))

    asked = role({"Ref": "AWS::Region"}, {"Ref": "AWS::AccountId"})
    written = role("eu-west-1", "123456789012")
    assert found(asked, written, region="eu-west-1", account="123456789012") == []
    assert kinds(found(asked, written, region="eu-west-3", account="123456789012"))


@pytest.mark.parametrize(
    "value",
    [
        {"Fn::Join": ["-", ["a", {"Ref": "Vpc"}, "b"]]},
        {"Fn::Join": ["", ["a-", {"Fn::Join": ["", [{"Ref": "Vpc"}, "-"]]}, "b"]]},
        {"Fn::Sub": "a-${Vpc}-b"},
        {"Fn::Sub": ["a-${it}-b", {"it": {"Ref": "Vpc"}}]},
    ],
)
def test_ways_to_write_the_same_text_are_the_same(value: Any) -> None:
    plain = of("AWS::S3::Bucket", BucketName={"Fn::Join": ["", ["a-", {"Ref": "Vpc"}, "-b"]]})
    other = of("AWS::S3::Bucket", BucketName=value)
    assert found(stack(Vpc=VPC, It=plain), stack(Vpc=VPC, It=other)) == []
