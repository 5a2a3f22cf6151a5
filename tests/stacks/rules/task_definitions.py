"""The task definitions: what runs in an ECS task, as whom, and what it is told."""

from typing import Any

from service import contract
from service.contract import (
    DatabaseSecretField,
    EnvVar,
    ProcessName,
    UiSecretField,
    render_pools,
)
from stacks.config.processes import EcsProcess
from stacks.config.variables import of_process
from stacks.service.collector import COLLECTOR
from tests.stacks.rules.data import OWNER, USER
from tests.stacks.templates import Resource, Templates

OWNER_SECRET, USER_SECRET = "MasterUserSecret", "DatabaseUser"
TASK, SERVICE, CLUSTER = "AWS::ECS::TaskDefinition", "AWS::ECS::Service", "AWS::ECS::Cluster"
EXEC_LOG = "ExecLog"


def containers(templates: Templates) -> list[dict[str, Any]]:
    """Those of the image."""
    return [
        container
        for definition in templates.all(TASK)
        for container in definition.get("ContainerDefinitions")
        if container["Name"] in set(ProcessName)  # and not the collector beside them
    ]


def main_container(definition: Resource) -> dict[str, Any]:
    (found,) = (each for each in definition.get("ContainerDefinitions") if each["Essential"])
    assert isinstance(found, dict)
    return found


def process_of(templates: Templates, definition: Resource) -> EcsProcess:
    """Whose task definition it is, by its family."""
    name = definition.get("Family").removeprefix(f"{templates.stage.names.prefix}-")
    found = templates.stage.process(name)
    assert found, name
    return found


def every_container_runs_as_a_user_without_rights(templates: Templates) -> None:
    """ECS.20, CKV_AWS_334: the uid is set, and nothing is privileged."""
    for container in containers(templates):
        assert container["User"] == contract.USER
        assert container["Privileged"] is False


def root_is_read_only_unless_exec_is_on(templates: Templates) -> None:
    """ECS.5, CKV_AWS_336: AWS does not support exec on a read-only root."""
    for container in containers(templates):
        assert container["ReadonlyRootFilesystem"] is not templates.stage.enable_exec
        assert container["MountPoints"] == [
            {"ContainerPath": "/tmp", "ReadOnly": False, "SourceVolume": "writable"}
        ]
    for definition in templates.all(TASK):
        assert definition.get("Volumes") == [{"Name": "writable"}]


def exec_is_on_where_configured_and_then_with_an_init_process(templates: Templates) -> None:
    """CKV_AWS_223: exec, its init process and its rights come together."""
    for each in templates.all(SERVICE):
        assert each.get("EnableExecuteCommand") is templates.stage.enable_exec
    for container in containers(templates):
        parameters = container.get("LinuxParameters", {})
        assert parameters.get("InitProcessEnabled", False) is templates.stage.enable_exec
    held = {
        each.id: "ssmmessages:OpenDataChannel" in str(each.properties)
        for each in templates.all("AWS::IAM::ManagedPolicy")
    }
    is_on = templates.stage.enable_exec
    assert {name for name, has in held.items() if has and "RolesDebug" not in name} == (
        {name for name in held if "Task" in name} if is_on else set()
    )
    # Where the ECS tasks have no shell, a role that none of them has lends it to a copy of one.
    pools = [] if is_on else templates.stage.worker_pools
    lent = [has for name, has in held.items() if "RolesDebug" in name]
    assert lent == [True] * len(pools)


def debug_role_is_held_by_no_ecs_task(templates: Templates) -> None:
    """Production has no exec; `moor debug` starts a copy with a role of its own."""
    for definition in templates.all(TASK):
        assert "Debug" not in str(definition.get("TaskRoleArn"))


def sessions_are_logged_and_encrypted(templates: Templates) -> None:
    """CKV_AWS_223, CKV_AWS_224, ECS exec logging."""
    found = templates.one(CLUSTER).get("Configuration.ExecuteCommandConfiguration")
    assert found["Logging"] == "OVERRIDE"
    assert found["LogConfiguration"]["CloudWatchEncryptionEnabled"] is True
    group = found["LogConfiguration"]["CloudWatchLogGroupName"]["Ref"]
    assert group.startswith(EXEC_LOG)
    assert "Key961B73FD" in str(found["KmsKeyId"])


def containers_are_insulated(templates: Templates) -> None:
    """ECS.3, CKV_AWS_335: no shared process or network namespace of a host."""
    for definition in templates.all(TASK):
        assert definition.get("NetworkMode") == "awsvpc"
        assert definition.get("PidMode") is None
        assert definition.get("RequiresCompatibilities") == ["FARGATE"]


def roles_of_ecs_tasks_are_apart(templates: Templates) -> None:
    """CKV_AWS_249: starting an ECS task and being one are two roles, for each process its own."""
    roles = [
        str(definition.get(kind))
        for definition in templates.all(TASK)
        for kind in ("ExecutionRoleArn", "TaskRoleArn")
    ]
    assert len(set(roles)) == 2 * len(templates.stage.processes)
    assert "None" not in roles


def only_secrets_carry_credentials(templates: Templates) -> None:
    """ECS.8 and beyond: credentials come from Secrets Manager, to whom they are for alone."""
    secret = {
        ProcessName.API: {EnvVar.API_KEY, EnvVar.UI_USERNAME, EnvVar.UI_PASSWORD},
        ProcessName.MIGRATE: {EnvVar.DATABASE_OWNER_PASSWORD},
    }
    own = {each.name for each in templates.stage.secrets}  # the project's
    for container in containers(templates):
        plain = {each["Name"] for each in container["Environment"]}
        hidden = {each["Name"] for each in container.get("Secrets", [])}
        assert not plain & own.union(*secret.values())
        assert hidden - own == secret.get(container["Name"], set())
        users = {EnvVar.DATABASE_URL: USER, EnvVar.DATABASE_OWNER_URL: OWNER}
        for each in container["Environment"]:
            if user := users.get(each["Name"]):
                assert f"postgresql://{user}@" in str(each["Value"])  # no colon: no password
            elif each["Name"] != EnvVar.DATABASE_SECRET_ARN:
                assert "secret" not in str(each).lower()


def database_is_reached_over_verified_tls(templates: Templates) -> None:
    """The host's name and RDS's own roots, in every container."""
    mode = "verify-full" if templates.stage.database_tls else "prefer"
    for container in containers(templates):
        values = {each["Name"]: str(each["Value"]) for each in container["Environment"]}
        assert f"sslmode={mode}" in values[EnvVar.DATABASE_URL]
        if templates.stage.database_tls:
            assert f"sslrootcert={contract.RDS_CA_FILE}" in values[EnvVar.DATABASE_URL]
        owner = values.get(EnvVar.DATABASE_OWNER_URL)
        if container["Name"] == ProcessName.MIGRATE:
            assert owner == values[EnvVar.DATABASE_URL].replace(f"//{USER}@", f"//{OWNER}@")
        else:
            assert owner is None


def only_migrate_is_the_databases_owner(templates: Templates) -> None:
    """Least privilege: its password is handed to that container, and no role of an ECS task that
    runs may read it; API and worker may read that of a user who reads and writes rows."""
    for container in containers(templates):
        told = {each["Name"]: str(each["Value"]) for each in container["Environment"]}
        assert USER_SECRET in told[EnvVar.DATABASE_SECRET_ARN]
        is_given = OWNER_SECRET in str(container.get("Secrets", []))
        assert is_given is (container["Name"] == ProcessName.MIGRATE)
    running = [definition.get("TaskRoleArn")["Fn::GetAtt"][0] for definition in templates.all(TASK)]
    for policy in templates.all("AWS::IAM::ManagedPolicy"):
        document = str(policy.get("PolicyDocument"))
        for role in policy.get("Roles") or []:
            if role.get("Ref") in running or "Debug" in policy.id:
                assert OWNER_SECRET not in document
                assert USER_SECRET in document
            elif "Execution" in policy.id:
                assert OWNER_SECRET in document


def a_release_before_has_its_role(templates: Templates) -> None:
    """Its API and workers ask for the owner's password: a rollback to it starts them."""
    for process in (ProcessName.API, ProcessName.WORKER):
        name = process.capitalize()
        (role,) = templates.one("AWS::IAM::ManagedPolicy", f"{name}RolesTaskPolicy").get("Roles")
        assert role["Ref"].startswith(f"{name}RolesTask")
        assert not role["Ref"].startswith(f"{name}RolesTaskRole")
        policy = templates.one("AWS::IAM::ManagedPolicy", f"{name}RolesTaskPolicy")
        now = templates.one("AWS::IAM::ManagedPolicy", f"{name}RolesTaskRolePolicy")
        ask, *rest = policy.get("PolicyDocument.Statement")
        assert OWNER_SECRET in str(ask["Resource"])
        assert ask["Sid"] == "AskForPassword"
        assert rest == now.get("PolicyDocument.Statement")[1:]


def no_log_line_is_dropped(templates: Templates) -> None:
    """ECS.9: awslogs in blocking mode, into the host's group, by process."""
    for definition in templates.all(TASK):
        of = process_of(templates, definition)
        host = (f"Pools{of.pool}" if of.pool else "") + of.process.capitalize()
        for container in definition.get("ContainerDefinitions"):
            log = container["LogConfiguration"]
            assert log["LogDriver"] == "awslogs"
            assert log["Options"]["mode"] == "blocking"
            assert log["Options"]["awslogs-region"] == {"Ref": "AWS::Region"}
            has_own = container["Name"] in {ProcessName.MIGRATE, COLLECTOR}
            process = container["Name"] if has_own else of.name
            assert log["Options"]["awslogs-stream-prefix"] == process
            assert log["Options"]["awslogs-group"]["Ref"].startswith(f"{host}Log")


def migrations_come_first(templates: Templates) -> None:
    """`migrate` succeeds before the process starts, and its end does not stop the task."""
    for definition in templates.all(TASK):
        migrate, main = definition.get("ContainerDefinitions")
        assert migrate["Name"] == migrate["Command"][0] == ProcessName.MIGRATE
        assert migrate["Essential"] is False
        assert main["Essential"] is True
        assert main["DependsOn"] == [{"Condition": "SUCCESS", "ContainerName": ProcessName.MIGRATE}]
        assert main["Command"] == [main["Name"]]


def there_is_time_to_drain(templates: Templates) -> None:
    """`stopTimeout` is what the contract says, and the drain ends before it."""
    for container in containers(templates):
        assert container["StopTimeout"] == contract.STOP_TIMEOUT_SECONDS <= 120
        values = {each["Name"]: each["Value"] for each in container["Environment"]}
        if container["Name"] != ProcessName.MIGRATE:
            drain = int(values[EnvVar.DRAIN_SECONDS])
            assert 0 < drain + contract.STOP_MARGIN_SECONDS <= contract.STOP_TIMEOUT_SECONDS


def worker_shows_that_it_lives(templates: Templates) -> None:
    """The container health check reads the heartbeat file that the worker writes."""
    check = main_container(templates.one(TASK, "Worker"))["HealthCheck"]
    assert check["Command"] == ["CMD", "python", "-m", "service", ProcessName.HEALTHCHECK]
    assert 30 <= check["Interval"] * check["Retries"] <= 60
    assert 0 < check["Timeout"] < check["Interval"]
    assert 30 <= check["StartPeriod"] <= 300


def one_image_runs_everywhere(templates: Templates) -> None:
    """One image, and ECS looks for the architecture it was built for."""
    assert len({str(container["Image"]) for container in containers(templates)}) == 1
    wanted = {"arm64": "ARM64", "x86_64": "X86_64"}[templates.stage.cpu_architecture]
    for definition in templates.all(TASK):
        assert definition.get("RuntimePlatform") == {
            "CpuArchitecture": wanted,
            "OperatingSystemFamily": "LINUX",
        }


def sizes_are_as_configured(templates: Templates) -> None:
    """256 CPU units and 512 MiB for a worker unless configured."""
    stage = templates.stage
    found = {
        process_of(templates, each).name: (each.get("Cpu"), each.get("Memory"))
        for each in templates.all(TASK)
    }
    assert found == {of.name: (str(of.cpu), str(of.memory_mib)) for of in stage.processes}


def old_revisions_stay(templates: Templates) -> None:
    """A rollback needs the task definition before."""
    for definition in templates.all(TASK):
        assert definition.body["DeletionPolicy"] == "Retain"
        assert definition.body["UpdateReplacePolicy"] == "Retain"


def every_container_is_told_what_it_needs(templates: Templates) -> None:
    """The values themselves; that `Settings` reads them is for the agreement tests."""
    stage = templates.stage
    common = {
        EnvVar.APP_NAME: stage.app_name,
        EnvVar.STAGE: stage.stage,
        EnvVar.LOG_FORMAT: "json",
    }
    ports = "" if stage.egress == "endpoints" else "80,443"
    drain = {EnvVar.DRAIN_SECONDS: str(stage.drain_seconds), EnvVar.INTERNET_PORTS: ports}
    wanted = {
        of.name: common
        | drain
        | {
            EnvVar.DATABASE_POOL_SIZE: str(of.pool_size),
            EnvVar.QUEUE_POOL_SIZE: str(of.queue_pool_size),
            EnvVar.WORKER_POOLS: render_pools({p.pool: p.queues for p in stage.worker_pools}),
        }
        for of in stage.processes
    }
    wanted[ProcessName.API] |= {
        EnvVar.API_HOST: "0.0.0.0",
        EnvVar.API_PORT: str(contract.API_PORT),
        **(
            {EnvVar.CONSOLE_LOG_GROUPS: ",".join(stage.log_groups)}
            if stage.has_readable_logs
            else {}
        ),
    }
    for pool in stage.worker_pools:
        wanted[pool.name] |= {
            EnvVar.WORKER_CONCURRENCY: str(pool.concurrency),
            EnvVar.WORKER_HEARTBEAT_FILE: contract.HEARTBEAT_FILE,
            EnvVar.WORKER_QUEUES: str(pool.queues),
            **({EnvVar.WORKER_POOL: pool.pool} if pool.pool else {}),
            **({EnvVar.EMAIL_FROM: stage.email_from} if stage.email_from else {}),
        }
    pairs = [(each, c) for each in templates.all(TASK) for c in each.get("ContainerDefinitions")]
    for definition, container in pairs:
        of = process_of(templates, definition)
        values = {each["Name"]: each["Value"] for each in container["Environment"]}
        assert {EnvVar.DATABASE_URL, EnvVar.DATABASE_SECRET_ARN} <= set(values)
        values = {name: value for name, value in values.items() if "DATABASE_" not in name[:9]
                  or name == EnvVar.DATABASE_POOL_SIZE}  # fmt: skip
        if container["Name"] != ProcessName.MIGRATE:
            assert "Bucket" in str(values.pop(EnvVar.BUCKET))
            for name, value in of_process(stage.variables, of.process, of.pool).items():
                assert values.pop(name) == value
        is_migrate = container["Name"] == ProcessName.MIGRATE
        assert values == (common if is_migrate else wanted[of.name])


def secrets_are_read_where_they_are_kept(templates: Templates) -> None:
    """Each secret variable from its own secret, and fields by their names."""
    for container in containers(templates):
        if container["Name"] == ProcessName.MIGRATE:
            (each,) = container["Secrets"]
            assert OWNER_SECRET in str(each["ValueFrom"])
            assert f":{DatabaseSecretField.PASSWORD}::" in str(each["ValueFrom"])
    (api,) = (each for each in containers(templates) if each["Name"] == ProcessName.API)
    found = {each["Name"]: str(each["ValueFrom"]) for each in api["Secrets"]}
    assert "SecretsApiKey" in found[EnvVar.API_KEY]
    for name, field in (
        (EnvVar.UI_USERNAME, UiSecretField.USERNAME),
        (EnvVar.UI_PASSWORD, UiSecretField.PASSWORD),
    ):
        assert "SecretsUi" in found[name]
        assert f":{field}::" in found[name]
