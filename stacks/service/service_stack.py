"""The stack with API and workers, their image, load balancer, scaling and alarms."""

from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from service.contract import ProcessName
from stacks.config.naming import Output, pool_output
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
from stacks.service.image import build_image
from stacks.service.load_balancer import LoadBalancer
from stacks.service.process import Process, Surroundings, add_process
from stacks.service.project_secrets import named_secrets
from stacks.service.scaling import ApiScaling, WorkerScaling
from stacks.service.web_firewall import WebFirewall
from stacks.stage_stack import StageStack, known_key, log_group


class ServiceStack(StageStack):
    """The ECS cluster of a stage with its API and its worker pools."""

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
        shared = Surroundings(
            stage=stage,
            network=network,
            data=data,
            key=self.key,
            image=self.image,
            cluster=self.cluster,
            exec_log=self.exec_log,
        )
        default, *others = stage.worker_pools
        api = add_process(self, stage.api, shared)
        pools = Construct(self, "Pools")
        workers = [
            add_process(self, default, shared),
            *(add_process(Construct(pools, each.pool), each, shared) for each in others),
        ]
        self.api, self.workers = api.ecs, [each.ecs for each in workers]
        for each in workers:
            # The workers first: new jobs must not meet an old worker.
            self.api.service.node.add_dependency(each.ecs.service)
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
        for each, pool in zip(workers, stage.worker_pools, strict=True):
            WorkerScaling(
                each.scope, "WorkerScaling", stage=stage, pool=pool, worker=each.ecs.service
            )
        self.topic = AlarmTopic(
            self, "AlarmTopic", stage=stage, key=AlarmKey(self, "AlarmKey", stage=stage)
        )
        queues = [
            QueueAlarms(each.scope, "Queue", stage=stage, pool=pool, topic=self.topic)
            for each, pool in zip(workers, stage.worker_pools, strict=True)
        ]
        queues[0].watch_reports()
        queues[0].count_wrong_credentials(api.definition.log_group)
        for own in queues[1:]:
            own.watch_count(own.pool)
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
            for each, own in zip(workers, queues, strict=True):
                each.ecs.roll_back_on(own.rollback_alarms)
        Dashboard(
            self,
            "Dashboard",
            stage=stage,
            alarms=[*queues, traffic, database],
            balancer=self.load_balancer.balancer,
            target_group=self.load_balancer.target_group,
            database=data.database.cluster,
        )
        self._add_outputs(api, workers)

    def add_operator_policies(self, of_domains: list[iam.ManagedPolicy]) -> None:
        """Policies for the people who operate the stage.

        They may pass its roles on, which have the policies `of_domains` too. Those of pools are
        named by their path.
        """
        roles = [each.process.roles for each in (self.api, self.workers[0])]
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

    def _add_outputs(self, api: Process, workers: list[Process]) -> None:
        names = self.stage.names
        found = {
            Output.URL: (self.load_balancer.url, "Where the API answers"),
            Output.TRANSPORT: (self.load_balancer.transport, "How it does"),
            Output.CLUSTER: (self.cluster.cluster_name, "ECS cluster"),
            Output.API_SERVICE: (self.api.service.service_name, "ECS service of the API"),
            Output.API_TASK_DEFINITION: (api.arn, "As deployed"),
            Output.API_LOG_GROUP: (api.definition.log_group.log_group_name, "Log of the API"),
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
        if pools := [each.ecs_process.pool for each in workers if each.ecs_process.pool]:
            found[Output.WORKER_POOLS] = (",".join(pools), "The worker pools beside the default")
        for key, (value, description) in found.items():
            self.output(key, value, description)
        for each in workers:
            self._add_pool_outputs(each)

    def _add_pool_outputs(self, workers: Process) -> None:
        log, roles = workers.definition.log_group, workers.definition.roles
        found = {
            Output.WORKER_SERVICE: (workers.ecs.service.service_name, "ECS service of the workers"),
            Output.WORKER_TASK_DEFINITION: (workers.arn, "As deployed"),
            Output.WORKER_LOG_GROUP: (log.log_group_name, "Log of the workers"),
        }
        if roles.debug:
            found[Output.DEBUG_ROLE] = (roles.debug.role_arn, "What `moor debug` runs with")
        for key, (value, description) in found.items():
            self.output(pool_output(key, workers.ecs_process.pool), value, description)
