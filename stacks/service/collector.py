"""The collector beside a process: takes its traces on localhost and sends them to X-Ray."""

import json

from aws_cdk import Aws, Duration
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs

COLLECTOR = "collector"
# AWS Distro for OpenTelemetry: https://aws-otel.github.io/docs/setup/ecs
IMAGE = "public.ecr.aws/aws-observability/aws-otel-collector:v0.49.0"
MEMORY_MIB = 128  # of the ECS task's; with more the kernel ends the collector, and not the process
PORT = 4318  # of OTLP over HTTP
ADDRESS = f"http://localhost:{PORT}"

# What X-Ray finds traces by: `annotation.moorage_task = "order.send"`.
SEARCHED = ["moorage.task", "moorage.outcome", "messaging.message.id"]
# Traces alone: the metrics are in CloudWatch already, by the log.
CONFIG = {
    "extensions": {"health_check": {}},
    "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"localhost:{PORT}"}}}},
    "processors": {
        "memory_limiter": {"check_interval": "1s", "limit_mib": MEMORY_MIB * 3 // 4},
        "batch": {"timeout": "5s", "send_batch_size": 50},
    },
    "exporters": {"awsxray": {"region": Aws.REGION, "indexed_attributes": SEARCHED}},
    "service": {
        "extensions": ["health_check"],
        "pipelines": {
            "traces": {
                "receivers": ["otlp"],
                "processors": ["memory_limiter", "batch"],
                "exporters": ["awsxray"],
            }
        },
        "telemetry": {"logs": {"level": "warn"}, "metrics": {"level": "none"}},
    },
}


def add_collector(
    definition: ecs.FargateTaskDefinition,
    *,
    log_group: logs.ILogGroup,
    user: ecs.ContainerDefinition,
) -> None:
    """Add it to a task definition, for the container `user`.

    Its end does not stop the ECS task. It starts before `user` and ends after it, so that the last
    traces are sent too.
    """
    collector = definition.add_container(
        COLLECTOR,
        container_name=COLLECTOR,
        image=ecs.ContainerImage.from_registry(IMAGE),
        essential=False,
        memory_limit_mib=MEMORY_MIB,
        environment={
            # JSON is YAML, which the collector reads
            "AOT_CONFIG_CONTENT": json.dumps(CONFIG),
            "GOMEMLIMIT": f"{MEMORY_MIB * 3 // 4}MiB",
        },
        logging=ecs.LogDriver.aws_logs(
            log_group=log_group, stream_prefix=COLLECTOR, mode=ecs.AwsLogDriverMode.BLOCKING
        ),
        health_check=ecs.HealthCheck(
            command=["CMD", "/healthcheck"],
            interval=Duration.seconds(30),
            timeout=Duration.seconds(5),
            retries=3,
            start_period=Duration.seconds(10),
        ),
        stop_timeout=Duration.seconds(30),
        privileged=False,
        readonly_root_filesystem=True,
    )
    user.add_container_dependencies(
        ecs.ContainerDependency(
            container=collector, condition=ecs.ContainerDependencyCondition.START
        )
    )


def trace_statement() -> iam.PolicyStatement:
    """What the collector calls; neither knows a resource.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
    """
    return iam.PolicyStatement(
        sid="SendTraces",
        actions=["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
        resources=["*"],
    )
