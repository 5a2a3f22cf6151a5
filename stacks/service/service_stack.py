"""The stack with API and worker, their image, load balancer, scaling and alarms."""

from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from service.contract import ProcessName
from stacks.config.naming import Output
from stacks.config.operator_rights import POLICIES
from stacks.config.stage import Stage
from stacks.data.data_stack import DataStack
from stacks.delivery.operator_policies import OperatorPolicies
from stacks.monitoring.alarm_key import AlarmKey
from stacks.monitoring.alarm_topic import AlarmTopic
from stacks.monitoring.dashboard import Dashboard
from stacks.monitoring.database_alarms import DatabaseAlarms
from stacks.monitoring.queue_alarms import QueueAlarms
from stacks.monitoring.traffic_alarms import TrafficAlarms
from stacks.network.vpc import Network
from stacks.service.ecs_service import EcsService
from stacks.service.image import build_image
from stacks.service.load_balancer import LoadBalancer
from stacks.service.project_secrets import named_secrets
from stacks.service.roles import TaskRoles
from stacks.service.scaling import ApiScaling, WorkerScaling
from stacks.service.task_definition import TaskDefinition
from stacks.service.web_firewall import WebFirewall
from stacks.stage_stack import StageStack, known_key, log_group


class ServiceStack(StageStack):
    """The ECS cluster of a stage with `api` and `worker`."""

    def __init__(
        self, scope: Construct, stage: Stage, *, network: Network, key: kms.IKey, data: DataStack
    ) -> None:
        super().__init__(
            scope,
            stage.names.service_stack,
            stage,
            description=f"API and workers of {stage.names.prefix}",
        )
        self.network, self.key, self.data = network, known_key(self, key), data
        self.image = build_image(self, "Image", stage=stage)
        self.exec_log = log_group(
            self, "ExecLog", stage=stage, key=self.key, name=stage.names.exec_log_group
        )
        self.cluster = self._cluster()
        api = self._process(ProcessName.API, stage.api_cpu, stage.api_memory_mib)
        worker = self._process(ProcessName.WORKER, stage.worker_cpu, stage.worker_memory_mib)
        self.api = EcsService(
            self,
            "ApiService",
            process=api,
            stage=stage,
            cluster=self.cluster,
            network=network,
            data=data,
            desired_count=stage.api_desired_count,
            min_count=stage.api_min_count,
        )
        self.worker = EcsService(
            self,
            "WorkerService",
            process=worker,
            stage=stage,
            cluster=self.cluster,
            network=network,
            data=data,
            desired_count=stage.worker_desired_count,
            min_count=stage.worker_min_count,
            spot_percent=stage.worker_spot_percent,
            is_done_when_healthy=True,
        )
        # The worker first: new jobs must not meet an old worker.
        self.api.service.node.add_dependency(self.worker.service)
        self.load_balancer = LoadBalancer(
            self, "Door", stage=stage, network=network, logs=data.log_bucket, api=self.api
        )
        firewall = None
        if stage.web_firewall:
            firewall = WebFirewall(
                self, "Firewall", stage=stage, key=self.key, balancer=self.load_balancer.balancer
            )
        ApiScaling(
            self,
            "ApiScaling",
            stage=stage,
            api=self.api.service,
            load_balancer=self.load_balancer,
        )
        WorkerScaling(self, "WorkerScaling", stage=stage, worker=self.worker.service)
        self.topic = AlarmTopic(
            self, "AlarmTopic", stage=stage, key=AlarmKey(self, "AlarmKey", stage=stage)
        )
        queue = QueueAlarms(self, "Queue", stage=stage, topic=self.topic, api_log=api.log_group)
        traffic = TrafficAlarms(
            self,
            "Traffic",
            stage=stage,
            topic=self.topic,
            balancer=self.load_balancer.balancer,
            target_group=self.load_balancer.target_group,
            cluster=self.cluster,
            firewall_name=firewall.name if firewall else None,
        )
        database = DatabaseAlarms(
            self, "Database", stage=stage, topic=self.topic, cluster=data.database.cluster
        )
        # Only in protected stages: it makes each deploy minutes longer.
        if stage.is_protected:
            self.api.roll_back_on(traffic.rollback_alarms)
            self.worker.roll_back_on(queue.rollback_alarms)
        Dashboard(
            self,
            "Dashboard",
            stage=stage,
            alarms=[queue, traffic, database],
            balancer=self.load_balancer.balancer,
            target_group=self.load_balancer.target_group,
            database=data.database.cluster,
        )
        self._add_outputs(api, worker)

    @property
    def workers(self) -> list[EcsService]:
        """The ECS service of each pool of workers."""
        return [self.worker]

    def add_operator_policies(self, of_domains: list[iam.ManagedPolicy]) -> None:
        """What people of the stage may do. Its roles have the policies `of_domains` too."""
        roles = [each.process.roles for each in (self.api, *self.workers)]
        operators = OperatorPolicies(
            self, "Operators", stage=self.stage, key=self.key, data=self.data,
            roles=[role for each in roles for role in each.roles],
            policies=[*(policy for each in roles for policy in each.policies), *of_domains],
            named_secrets=named_secrets(self, self.stage),
        )  # fmt: skip
        for level, policy in operators.policies.items():
            arn = policy.managed_policy_arn
            self.output(POLICIES[level], arn, f"What who may {level} a stage is given")

    def _cluster(self) -> ecs.Cluster:
        return ecs.Cluster(
            self,
            "Cluster",
            cluster_name=self.stage.names.cluster,
            vpc=self.network.vpc,
            container_insights_v2=ecs.ContainerInsights.ENABLED,
            enable_fargate_capacity_providers=True,
            # Also where exec is off: it costs nothing, and applies once exec is turned on.
            execute_command_configuration=ecs.ExecuteCommandConfiguration(
                kms_key=self.key,
                logging=ecs.ExecuteCommandLogging.OVERRIDE,
                log_configuration=ecs.ExecuteCommandLogConfiguration(
                    cloud_watch_log_group=self.exec_log, cloud_watch_encryption_enabled=True
                ),
            ),
        )

    def _process(self, process: ProcessName, cpu: int, memory_mib: int) -> TaskDefinition:
        name = process.capitalize()
        log = log_group(
            self,
            f"{name}Log",
            stage=self.stage,
            key=self.key,
            name=self.stage.names.log_group(process),
        )
        roles = TaskRoles(
            self,
            f"{name}Roles",
            stage=self.stage,
            process=process,
            image=self.image,
            data=self.data,
            key=self.key,
            log_group=log,
            exec_log_group=self.exec_log,
        )
        return TaskDefinition(
            self,
            name,
            process=process,
            stage=self.stage,
            image=self.image,
            roles=roles,
            data=self.data,
            log_group=log,
            cpu=cpu,
            memory_mib=memory_mib,
        )

    def _add_outputs(self, api: TaskDefinition, worker: TaskDefinition) -> None:
        names = self.stage.names
        found = {
            Output.URL: (self.load_balancer.url, "Where the API answers"),
            Output.TRANSPORT: (self.load_balancer.transport, "How it does"),
            Output.CLUSTER: (self.cluster.cluster_name, "ECS cluster"),
            Output.API_SERVICE: (self.api.service.service_name, "ECS service of the API"),
            Output.WORKER_SERVICE: (self.worker.service.service_name, "ECS service of the workers"),
            Output.API_TASK_DEFINITION: (api.task_definition.task_definition_arn, "As deployed"),
            Output.WORKER_TASK_DEFINITION: (
                worker.task_definition.task_definition_arn,
                "As deployed",
            ),
            Output.API_LOG_GROUP: (api.log_group.log_group_name, "Log of the API"),
            Output.WORKER_LOG_GROUP: (worker.log_group.log_group_name, "Log of the workers"),
            Output.ALARM_TOPIC: (self.topic.topic_arn, "Where alarms go"),
            Output.DASHBOARD: (names.dashboard, "CloudWatch dashboard"),
            Output.SCALE_COMMAND: (
                names.scale_command(ProcessName.WORKER),
                "Another number of workers, until the autoscaler or the next deploy",
            ),
            Output.LOGS_COMMAND: (
                names.logs_command(ProcessName.WORKER),
                "Follow the workers' log",
            ),
        }
        if self.stage.enable_exec:
            found[Output.EXEC_COMMAND] = (
                names.exec_command(ProcessName.WORKER),
                "A shell in a worker",
            )
        if worker.roles.debug:
            found[Output.DEBUG_ROLE] = (worker.roles.debug.role_arn, "What `moor debug` runs with")
        for key, (value, description) in found.items():
            self.output(key, value, description)
