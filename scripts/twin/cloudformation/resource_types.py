"""The resource types of these stacks that moto's CloudFormation lacks or implements too little."""

import json
from typing import Any

import boto3
from moto.cloudformation import parsing

from scripts.twin.cloudformation.api_resource import (
    Answer,
    Properties,
    Recipe,
    call,
    client,
    made_by,
)


def _cluster(name: str, given: Properties) -> Answer:
    wanted = {**given, "Settings": given.get("ClusterSettings", [])}
    made = call("ecs", "create_cluster", wanted, camel=True)["cluster"]
    return Answer(made["clusterName"], {"Arn": made["clusterArn"]})


def _task_definition(name: str, given: Properties) -> Answer:
    made = call("ecs", "register_task_definition", given, camel=True)["taskDefinition"]
    return Answer(made["taskDefinitionArn"], {"TaskDefinitionArn": made["taskDefinitionArn"]})


def _service(name: str, given: Properties) -> Answer:
    made = call("ecs", "create_service", {"DesiredCount": 1, **given}, camel=True)["service"]
    return Answer(
        made["serviceArn"], {"Name": made["serviceName"], "ServiceArn": made["serviceArn"]}
    )


def _change_service(before: Answer, given: Properties) -> Answer:
    # Without a count, the count stays as it is: it belongs to the autoscaler.
    call("ecs", "update_service", {**given, "Service": given["ServiceName"]}, camel=True)
    return before


def _remove_service(ref: str, given: Properties) -> None:
    client("ecs").delete_service(cluster=given["Cluster"], service=ref, force=True)


def _database_instance(name: str, given: Properties) -> Answer:
    identifier = name.lower()[:60]
    call("rds", "create_db_instance", {**given, "DBInstanceIdentifier": identifier})
    return Answer(identifier)


def _remove_database_instance(ref: str, _given: Properties) -> None:
    client("rds").delete_db_instance(DBInstanceIdentifier=ref, SkipFinalSnapshot=True)


def _parameter_group(name: str, given: Properties) -> Answer:
    wanted = {
        "DBClusterParameterGroupName": name.lower(),
        "DBParameterGroupFamily": given["Family"],
        "Description": given["Description"],
    }
    call("rds", "create_db_cluster_parameter_group", wanted)
    return Answer(name.lower())


def _remove_parameter_group(ref: str, _given: Properties) -> None:
    client("rds").delete_db_cluster_parameter_group(DBClusterParameterGroupName=ref)


def _event_subscription(name: str, given: Properties) -> Answer:
    call("rds", "create_event_subscription", {**given, "SubscriptionName": name.lower()})
    return Answer(name.lower())


def _remove_event_subscription(ref: str, _given: Properties) -> None:
    client("rds").delete_event_subscription(SubscriptionName=ref)


def _secret(name: str, given: Properties) -> Answer:
    rules = dict(given["GenerateSecretString"])
    template, field = rules.pop("SecretStringTemplate", None), rules.pop("GenerateStringKey", None)
    text = call("secretsmanager", "get_random_password", rules)["RandomPassword"]
    if template:
        text = json.dumps({**json.loads(template), field: text})
    made = client("secretsmanager").create_secret(
        Name=name, SecretString=text, KmsKeyId=given["KmsKeyId"], Description=given["Description"]
    )
    return Answer(made["ARN"])


def _remove_secret(ref: str, _given: Properties) -> None:
    client("secretsmanager").delete_secret(SecretId=ref, ForceDeleteWithoutRecovery=True)


def _bucket_policy(name: str, given: Properties) -> Answer:
    policy = json.dumps(given["PolicyDocument"])
    client("s3").put_bucket_policy(Bucket=given["Bucket"], Policy=policy)
    return Answer(given["Bucket"])


def _topic_policy(name: str, given: Properties) -> Answer:
    for topic in given["Topics"]:
        client("sns").set_topic_attributes(
            TopicArn=topic,
            AttributeName="Policy",
            AttributeValue=json.dumps(given["PolicyDocument"]),
        )
    return Answer(name)


def _alarm(name: str, given: Properties) -> Answer:
    call("cloudwatch", "put_metric_alarm", {**given, "AlarmName": name})
    (made,) = client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return Answer(name, {"Arn": made["AlarmArn"]})


def _change_alarm(before: Answer, given: Properties) -> Answer:
    return _alarm(before.ref, given)


def _remove_alarm(ref: str, _given: Properties) -> None:
    client("cloudwatch").delete_alarms(AlarmNames=[ref])


def _scalable_target(name: str, given: Properties) -> Answer:
    call("application-autoscaling", "register_scalable_target", given)
    parts = (given["ResourceId"], given["ScalableDimension"], given["ServiceNamespace"])
    return Answer("|".join(parts))


def _change_scalable_target(before: Answer, given: Properties) -> Answer:
    return _scalable_target(before.ref, given)


def _remove_scalable_target(ref: str, _given: Properties) -> None:
    resource, dimension, namespace = ref.split("|")
    client("application-autoscaling").deregister_scalable_target(
        ServiceNamespace=namespace,
        ResourceId=resource,
        ScalableDimension=dimension,
    )


def _scaling_policy(name: str, given: Properties) -> Answer:
    resource, dimension, namespace = given["ScalingTargetId"].split("|")
    where = {
        "ResourceId": resource,
        "ScalableDimension": dimension,
        "ServiceNamespace": namespace,
    }
    made = call("application-autoscaling", "put_scaling_policy", {**given, **where})
    return Answer(made["PolicyARN"], {"Arn": made["PolicyARN"]})


def _remove_scaling_policy(_ref: str, given: Properties) -> None:
    resource, dimension, namespace = given["ScalingTargetId"].split("|")
    client("application-autoscaling").delete_scaling_policy(
        PolicyName=given["PolicyName"],
        ServiceNamespace=namespace,
        ResourceId=resource,
        ScalableDimension=dimension,
    )


def _egress_rule(name: str, given: Properties) -> Answer:
    pair = {"GroupId": given["DestinationSecurityGroupId"]}
    rule: Any = {
        "IpProtocol": given["IpProtocol"],
        "FromPort": int(given["FromPort"]),
        "ToPort": int(given["ToPort"]),
        "UserIdGroupPairs": [pair],
    }
    client("ec2").authorize_security_group_egress(GroupId=given["GroupId"], IpPermissions=[rule])
    return Answer(name)


def _metric_filter(name: str, given: Properties) -> Answer:
    wanted = {
        "filterName": name,
        "filterPattern": given["FilterPattern"],
        "logGroupName": given["LogGroupName"],
        "metricTransformations": given["MetricTransformations"],
    }
    call("logs", "put_metric_filter", wanted, camel=True)
    return Answer(name)


def _key(name: str, given: Properties) -> Answer:
    kms = client("kms")
    made = kms.create_key(
        Policy=json.dumps(given["KeyPolicy"]),
        Description=given.get("Description", ""),
        # moto's own keeps CloudFormation's names for the keys of tags, and fails on them later.
        Tags=[{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in given.get("Tags", [])],
    )["KeyMetadata"]
    if given.get("EnableKeyRotation"):
        kms.enable_key_rotation(KeyId=made["KeyId"])
    return Answer(made["KeyId"], {"Arn": made["Arn"]})


def _change_key(before: Answer, given: Properties) -> Answer:
    kms = client("kms")
    kms.put_key_policy(
        KeyId=before.ref, PolicyName="default", Policy=json.dumps(given["KeyPolicy"])
    )
    kms.update_key_description(KeyId=before.ref, Description=given.get("Description", ""))
    rotates = bool(given.get("EnableKeyRotation"))
    (kms.enable_key_rotation if rotates else kms.disable_key_rotation)(KeyId=before.ref)
    return before


def _remove_key(ref: str, _given: Properties) -> None:
    client("kms").schedule_key_deletion(KeyId=ref)


def _empty_bucket(_ref: str, given: Properties) -> None:
    boto3.resource("s3").Bucket(given["BucketName"]).object_versions.delete()


def _identity_provider(name: str, given: Properties) -> Answer:
    made = client("iam").create_open_id_connect_provider(
        Url=given["Url"], ClientIDList=given.get("ClientIdList", [])
    )
    arn = made["OpenIDConnectProviderArn"]
    return Answer(arn, {"Arn": arn})


def _remove_identity_provider(ref: str, _given: Properties) -> None:
    client("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=ref)


def _only_named(name: str, _given: Properties) -> Answer:
    return Answer(name, {"Arn": name})


RECIPES = [
    Recipe("AWS::ECS::Cluster", _cluster, None,
           lambda ref, _: client("ecs").delete_cluster(cluster=ref) and None),
    Recipe("AWS::ECS::TaskDefinition", _task_definition,
           lambda _, given: _task_definition("", given)),
    Recipe("AWS::ECS::Service", _service, _change_service, _remove_service),
    Recipe("AWS::ECS::ClusterCapacityProviderAssociations", _only_named),
    Recipe("AWS::RDS::DBInstance", _database_instance, None, _remove_database_instance),
    Recipe("AWS::RDS::DBClusterParameterGroup", _parameter_group, None, _remove_parameter_group),
    Recipe("AWS::RDS::EventSubscription", _event_subscription, None, _remove_event_subscription),
    Recipe("AWS::SecretsManager::Secret", _secret, None, _remove_secret),
    Recipe("AWS::S3::BucketPolicy", _bucket_policy, lambda _, given: _bucket_policy("", given)),
    Recipe("AWS::SNS::TopicPolicy", _topic_policy,
           lambda before, given: _topic_policy(before.ref, given)),
    Recipe("AWS::CloudWatch::Alarm", _alarm, _change_alarm, _remove_alarm),
    Recipe("AWS::ApplicationAutoScaling::ScalableTarget", _scalable_target, _change_scalable_target,
           _remove_scalable_target),
    Recipe("AWS::KMS::Key", _key, _change_key, _remove_key),
    Recipe("AWS::ApplicationAutoScaling::ScalingPolicy", _scaling_policy,
           lambda _, given: _scaling_policy("", given), _remove_scaling_policy),
    Recipe("AWS::EC2::SecurityGroupEgress", _egress_rule),
    Recipe("AWS::IAM::OIDCProvider", _identity_provider, None, _remove_identity_provider),
    Recipe("AWS::Logs::MetricFilter", _metric_filter),
    # The CDK's custom resources run code in Lambda; here nothing has to be done.
    Recipe("Custom::VpcRestrictDefaultSG", _only_named),
    Recipe("Custom::S3AutoDeleteObjects", _only_named, None, _empty_bucket),
]  # fmt: skip


def register() -> None:
    """Register the recipes in moto, in place of its own classes."""
    for recipe in RECIPES:
        parsing.get_model_map()[recipe.kind] = made_by(recipe)
