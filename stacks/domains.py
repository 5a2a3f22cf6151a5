"""What the domains add to a stage: the function `resources` of each module in `stacks/domain/`.

    def resources(domain: Domain) -> None:
        table = dynamodb.Table(domain, "Orders", ...)
        table.grant_read_write_data(domain.workers)
        domain.both.variable("ORDERS_TABLE", table.table_name)

docs/extending.md has examples of all that a domain can add.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import jsii
from aws_cdk import CfnOutput, RemovalPolicies, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from service.contract import LOCAL_STAGE
from stacks.config.secrets import secrets_of
from stacks.config.stage import Stage
from stacks.config.values import ConfigError
from stacks.config.variables import name_problem, of_process
from stacks.data.data_stack import DataStack
from stacks.network.vpc import Network
from stacks.service.ecs_service import EcsService
from stacks.service.service_stack import ServiceStack
from stacks.stage_stack import removal_policy

PACKAGE = "stacks.domain"
FUNCTION = "resources"
PARENT = "Domain"  # of every domain: none of its constructs is named as one of the stage's own
# What holds data: when it leaves the templates of a protected stage, it stays in the account.
WITH_DATA = (
    "AWS::Backup::BackupVault", "AWS::Cognito::UserPool", "AWS::DocDB::DBCluster",
    "AWS::DynamoDB::GlobalTable", "AWS::DynamoDB::Table", "AWS::EFS::FileSystem",
    "AWS::ElastiCache::ReplicationGroup", "AWS::ElastiCache::ServerlessCache", "AWS::KMS::Key",
    "AWS::Kinesis::Stream", "AWS::Logs::LogGroup", "AWS::MemoryDB::Cluster",
    "AWS::OpenSearchService::Domain", "AWS::RDS::DBCluster", "AWS::RDS::DBInstance",
    "AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::SecretsManager::Secret", "AWS::Timestream::Table",
)  # fmt: skip


@jsii.implements(iam.IGrantable, ec2.IConnectable)
class Processes:
    """The API, the workers of every pool, or both: what a domain lets them do, and tells them.

    The CDK's own methods take it: `table.grant_read_data(domain.workers)`,
    `database.connections.allow_from(domain.workers, ec2.Port.tcp(5432), "…")`.
    """

    def __init__(self, domain: "Domain", id: str, services: list[EcsService]) -> None:
        self._domain, self._id, self._services = domain, id, services
        self.policy: iam.ManagedPolicy | None = None  # made for the first right

    @property
    def rights(self) -> iam.ManagedPolicy:
        """The managed policy with what the domain grants; findings on a right are acknowledged on
        it."""
        if self.policy is None:
            # The pools share their roles.
            roles = dict.fromkeys(
                role for each in self._services for role in each.process.roles.of_code
            )
            self.policy = iam.ManagedPolicy(self._domain, f"{self._id}Rights", roles=list(roles))
            for each in self._services:  # the first ECS task needs its rights when it starts
                each.service.node.add_dependency(self.policy)
        return self.policy

    @property
    def grant_principal(self) -> iam.IPrincipal:
        return self.rights.grant_principal

    @property
    def connections(self) -> ec2.Connections:
        return ec2.Connections(security_groups=[each.security_group for each in self._services])

    def grant(self, statement: iam.PolicyStatement) -> None:
        """A right that no construct grants by a method of its own."""
        self.rights.add_statements(statement)

    def variable(self, name: str, value: str) -> None:
        """An environment variable, which the domain's `settings.py` reads. It is no place for a
        password, because it stands in templates.

        Raises `ConfigError` for a name that is taken or that belongs to Moorage or AWS. In stage
        local it comes before `[local.env]`, which is for processes without a stack (`make api`).
        """
        for each in self._services:
            self._domain.check_variable(name, each)
            each.process.container.add_environment(name, value)


class Domain(Construct):
    """The part of a stage that belongs to one domain, and what can be reached from there.

    A construct with it as scope is in the service stack, which a release can change and take back
    as a whole: a reference from one stack to another keeps CloudFormation from replacing or
    removing what it leads to. Its logical id begins with `Domain` and the domain's name.

    A protected stage keeps what holds data when it leaves the template, whatever the construct
    says; `RemovalPolicies.of(construct)` says otherwise. In other stages the construct's own
    removal policy counts, for which `removal_policy` is right in every stage.
    """

    def __init__(self, service: ServiceStack, parent: Construct, name: str) -> None:
        super().__init__(parent, name)
        self.name, self._service = name, service
        self.api = Processes(self, "Api", [service.api])
        self.workers = Processes(self, "Workers", service.workers)
        self.both = Processes(self, "Both", [service.api, *service.workers])
        if service.stage.is_protected:
            # Before those of the domain: the later one counts.
            RemovalPolicies.of(self).apply(
                RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE, apply_to_resource_types=list(WITH_DATA)
            )

    @property
    def stage(self) -> Stage:
        """The settings of stages.toml."""
        return self._service.stage

    @property
    def network(self) -> Network:
        """`vpc`, `task_subnets`, `database_subnets`, and `add_endpoint` for an AWS service."""
        return self._service.network

    @property
    def data(self) -> DataStack:
        """`database`, `bucket`, `log_bucket` and `secrets` of the stage."""
        return self._service.data

    @property
    def key(self) -> kms.IKey:
        """The stage's encryption key."""
        return self._service.key

    @property
    def removal_policy(self) -> RemovalPolicy:
        """Retain in a protected stage, else destroy."""
        return removal_policy(self.stage)

    @property
    def policies(self) -> list[iam.ManagedPolicy]:
        """The managed policies that hold rights of the domain."""
        return [each.policy for each in (self.api, self.workers, self.both) if each.policy]

    @property
    def file(self) -> str:
        return f"stacks/domain/{self.name}.py"

    def output(self, key: str, value: str, description: str) -> None:
        """An output of the service stack, `Domain<Name><key>`, for people and for scripts."""
        name = "".join(part.capitalize() for part in self.name.split("_"))
        output = CfnOutput(self, f"{key}Output", value=value, description=description)
        output.override_logical_id(f"{PARENT}{name}{key}")

    def check_variable(self, name: str, service: EcsService) -> None:
        """Raises `ConfigError` where the ECS service can get no variable of that name from here."""
        process, pool = service.process.ecs_process.process, service.process.ecs_process.pool
        set_by = service.process.variables_of_domains.setdefault(name, self.file)
        is_told = name in of_process(self.stage.variables, process, pool)
        if problem := name_problem(name):
            pass
        elif set_by != self.file:
            problem = f"{set_by} sets it too"
        elif name in secrets_of(self.stage.secrets, process):
            problem = "is the name of a secret in stages.toml"
        elif is_told and self.stage.stage != LOCAL_STAGE:
            problem = "stages.toml sets it too, where [local.env] alone may"
        if problem:
            raise ConfigError([f"{self.file}: variable {name}: {problem}"])


def add_domains(service: ServiceStack, package: str = PACKAGE) -> list[Domain]:
    """Calls `resources` of each domain, in the order of their names.

    Raises `ConfigError` for a module without it; one whose name begins with `_` is none.
    """
    modules = dict(_modules(package))
    if wrong := [name for name, module in modules.items() if not hasattr(module, FUNCTION)]:
        raise ConfigError(
            [f"stacks/domain/{name}.py: has no function {FUNCTION}(domain)" for name in wrong]
        )
    domains = []
    parent = Construct(service, PARENT) if modules else service
    for name, module in modules.items():
        domain = Domain(service, parent, name)
        module.resources(domain)
        domains.append(domain)
    return domains


def _modules(package: str) -> Iterator[tuple[str, ModuleType]]:
    try:
        folder = importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        return
    for name in sorted(each.name for each in pkgutil.iter_modules(folder.__path__)):
        if not name.startswith("_"):
            yield name, importlib.import_module(f"{package}.{name}")
