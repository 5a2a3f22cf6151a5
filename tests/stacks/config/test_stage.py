"""A wrong key or value is refused with its name, what was given and what is allowed."""

from pathlib import Path

import pytest

from stacks.config.checks import check_stage
from stacks.config.connections import connections_wanted, max_connections
from stacks.config.read_stage import read_stage
from stacks.config.stage import CONFIGURABLE, Stage
from stacks.config.stages_file import STAGES_FILE, chosen_name
from stacks.config.values import ConfigError
from tests.stacks.config.configurations import VPC
from tests.stacks.templates import STAGES, stage_of


def problems(stage: str, **settings: object) -> list[str]:
    """What is said of a stage with these settings."""
    with pytest.raises(ConfigError) as raised:
        check_stage(stage_of(stage, **settings))
    return raised.value.problems


@pytest.mark.parametrize("stage", STAGES)
def test_stages_as_they_come_are_valid(stage: str) -> None:
    check_stage(stage_of(stage))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"worker_desird": 3}, "worker_desird: no such key; did you mean worker_desired_count?"),
        ({"colour": "red"}, "colour: no such key; allowed are account, alarm_email,"),
        ({"worker_cpu": 300}, "worker_cpu = 300: allowed is one of 256, 512, 1024, 2048,"),
        ({"egress": "vpn"}, "egress = 'vpn': allowed is one of public, nat, endpoints"),
        ({"enable_exec": "maybe"}, "enable_exec = 'maybe': allowed is true or false"),
        ({"enable_exec": 2}, "enable_exec = 2: allowed is true or false"),
        ({"worker_max_count": 0}, "worker_max_count = 0: allowed is a whole number from 1 to 100"),
        ({"worker_max_count": 1.5}, "worker_max_count = 1.5: allowed is a whole number"),
        ({"worker_max_count": True}, "worker_max_count = True: allowed is a whole number"),
        ({"worker_desired_count": "many"}, "worker_desired_count = 'many': allowed is a"),
        ({"database_max_acu": "lots"}, "database_max_acu = 'lots': allowed is a number"),
        ({"app_name": "My Shop"}, "app_name = 'My Shop': allowed is a-z, 0-9 and single hyphens"),
        ({"region": "europe"}, "region = 'europe': allowed is a region, such as eu-"),
        ({"alarm_email": ["a@b"]}, "alarm_email = ['a@b']: allowed is an e-mail address"),
        ({"public_subnet_ids": "here"}, "public_subnet_ids = 'here': allowed is a list, each"),
        ({"drain_seconds": 111}, "drain_seconds = 111: allowed is a whole number from 5 to 110"),
    ],
)  # fmt: skip
def test_a_wrong_key_or_value_is_named(settings: dict[str, object], said: str) -> None:
    (problem,) = problems("dev", **settings)
    assert problem.startswith(said)


@pytest.mark.parametrize(
    ("stage", "settings", "said"),
    [
        ("dev", {"worker_min_count": 9}, "worker_min_count = 9: is above worker_max_count = 4"),
        ("dev", {"worker_desired_count": 5}, "worker_desired_count = 5: is not between worker_"),
        ("dev", {"api_memory_mib": 700}, "api_memory_mib = 700: with api_cpu = 256 Fargate allows"),
        ("dev", {"database_min_acu": 3}, "database_min_acu = 3: is above database_max_acu = 2"),
        ("dev", {"database_max_acu": 2.2}, "database_max_acu = 2.2: must be a multiple of 0.5"),
        ("dev", {"database_min_acu": 0}, "database_min_acu = 0: the database can pause only"),
        ("dev", {"worker_max_count": 40}, "database_max_acu = 2: allows 400 connections, of wh"),
        ("dev", {"allow_http": False}, "certificate_arn: missing; set it, or domain_name"),
        ("dev", {"domain_name": "a.example.com"}, "domain_name: goes together with hosted_zone_id"),
        ("dev", {"database_tls": False}, "database_tls = false: is allowed only in stage local"),
        ("dev", {"zone_names": "eu-central-1a"}, "zone_names: only with vpc_id"),
        ("prod", {"certificate_arn": ""}, "certificate_arn: missing"),
        ("prod", {"region": "us-east-1"}, "certificate_arn: is of region eu-central-1, and the"),
        ("prod", {"account": "1" * 12}, "certificate_arn: is of account 123456789012, and the"),
        ("dev", {"region": "us-west-1", "availability_zones": 3}, "availability_zones = 3: an"),
        ("dev", VPC | {"region": "eu-west-1"}, "zone_names: must all be in the stage's region"),
        ("dev", VPC | {"zone_names": "eu-central-1a,eu-west-1a"}, "zone_names: must all be in"),
        ("dev", VPC | {"zone_names": "eu-central-1a,eu-central-1a"}, "zone_names: eu-central-1a"),
        ("dev", VPC | {"isolated_subnet_ids": "subnet-00000001,subnet-00000006"},
         "isolated_subnet_ids: subnet-00000001 is given twice"),
        ("dev", {"vpc_cidr": "10.0.0.0/24", "api_max_count": 30}, "vpc_cidr = '10.0.0.0/24': with"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_together_are_named(
    stage: str, settings: dict[str, object], said: str
) -> None:
    found = problems(stage, **settings)
    assert [each for each in found if each.startswith(said)], found


def test_a_domain_must_be_in_its_zone() -> None:
    (problem,) = problems(
        "dev", domain_name="a.example.com", hosted_zone_id="Z1", hosted_zone_name="other.org"
    )
    assert problem.startswith("domain_name = 'a.example.com': is not in hosted_zone_name")


def test_an_imported_vpc_needs_a_subnet_of_each_kind_in_each_zone() -> None:
    settings = {
        "vpc_id": "vpc-00000001",
        "zone_names": "eu-central-1a,eu-central-1b",
        "public_subnet_ids": "subnet-00000001,subnet-00000002",
        "isolated_subnet_ids": "subnet-00000003",
    }
    (problem,) = problems("dev", **settings)
    assert problem.startswith("isolated_subnet_ids: with vpc_id and 2 zone_names it must have 2")
    check_stage(
        stage_of(
            "dev", **settings | {"isolated_subnet_ids": ["subnet-00000003", "subnet-00000004"]}
        )
    )


def test_a_drain_that_ends_after_the_kill_is_refused() -> None:
    stage = Stage(stage="dev", allow_http=True, drain_seconds=115)
    with pytest.raises(ConfigError, match=r"drain_seconds = 115: must be at most 110"):
        check_stage(stage)


def test_a_stage_at_rest_may_let_its_database_pause() -> None:
    at_rest = {
        "database_min_acu": 0, "api_min_count": 0, "api_desired_count": 0,
        "worker_min_count": 0, "worker_desired_count": 0,
    }  # fmt: skip
    check_stage(stage_of("dev", **at_rest))
    (problem,) = problems("dev", **at_rest, is_protected=True)
    assert problem.startswith("database_min_acu = 0")


def test_all_problems_are_told_at_once() -> None:
    assert len(problems("dev", colour="red", worker_cpu=3, egress="vpn")) == 3
    assert len(problems("prod", certificate_arn="", worker_min_count=50)) == 2


def test_an_unknown_stage_is_refused_with_those_there_are() -> None:
    assert problems("staging") == [
        "stage = 'staging': stages.toml has no table [staging]; it has dev, prod, local, pools"
    ]


def test_what_is_typed_is_text_and_means_the_same() -> None:
    typed = read_stage("dev", {"worker_desired_count": "3", "enable_exec": "FALSE"})
    assert typed.worker_desired_count == 3
    assert typed.enable_exec is False
    assert read_stage(
        "dev", {"public_subnet_ids": "subnet-00000001, subnet-00000002"}
    ).public_subnet_ids == (
        "subnet-00000001",
        "subnet-00000002",
    )


def test_the_file_gives_values_for_all_stages_and_for_one(tmp_path: Path) -> None:
    file = tmp_path / "stages.toml"
    file.write_text('app_name = "shop"\n[dev]\nworker_max_count = 9\n')
    assert read_stage("dev", file=file).worker_max_count == 9
    assert read_stage("local", file=file).app_name == "shop"
    assert read_stage("dev", {"worker_max_count": 2}, file=file).worker_max_count == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[dv]\n", r"stage = 'dev': stages.toml has no table \[dev\]; it has dv, local"),
        ("[dev\n", "stages.toml: "),
        ("[dev]\nworkers = 3\n", "workers = 3: allowed is a table for each pool"),
        ("[dev]\nfirst_deploy = true\n", "first_deploy: is for one deployment, -c first_deploy=tr"),
    ],
)
def test_a_wrong_file_is_refused(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "stages.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_stage("dev", file=file)


def test_dev_is_the_stage_where_none_is_named_if_there_is_one(tmp_path: Path) -> None:
    file = tmp_path / "stages.toml"
    file.write_text("[qa-eu-2]\n[dev]\n")
    assert [chosen_name(None, file), chosen_name("qa-eu-2", file)] == ["dev", "qa-eu-2"]
    file.write_text("[qa-eu-2]\n")
    said = r"stage: none is named, .*has no table \[dev\]: -c stage=qa-eu-2, of qa-eu-2, local"
    with pytest.raises(ConfigError, match=said):
        chosen_name(None, file)


@pytest.mark.parametrize(
    ("low", "high", "connections"),
    [(0.5, 1, 189), (1, 8, 1669), (0.5, 16, 2000), (1, 16, 3360), (1, 64, 5000), (0.5, 2, 400)],
)
def test_connections_follow_the_table_of_aws(low: float, high: float, connections: int) -> None:
    stage = Stage(stage="dev", database_min_acu=low, database_max_acu=high)
    assert max_connections(stage) == connections


def test_connections_wanted_count_every_pool_twice_in_a_deploy() -> None:
    stage = Stage(
        stage="dev", api_max_count=1, worker_max_count=2, api_pool_size=10, api_queue_pool_size=4,
        worker_pool_size=5, worker_queue_pool_size=3,
    )  # fmt: skip
    # (16 of the API + 2 x 10 of the workers) x 2, one migration, ten people, ten of PostgreSQL
    assert connections_wanted(stage.processes) == 36 * 2 + 1 + 10 + 10


def test_every_key_stands_in_the_file_that_says_what_it_does() -> None:
    source = (STAGES_FILE.parent / "stacks/config/stage.py").read_text()
    assert [key for key in CONFIGURABLE if f"    {key}: " not in source] == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_is_read_as_editors_save_it(tmp_path: Path, encoding: str, end: str) -> None:
    file = tmp_path / "stages.toml"
    text = 'app_name = "shop"\n# über\n[dev]\nworker_cpu = 512\n'
    file.write_bytes(text.replace("\n", end).encode(encoding))

    assert (read_stage("dev", file=file).app_name, read_stage("dev", file=file).worker_cpu) == (
        "shop", 512
    )  # fmt: skip


@pytest.mark.parametrize(
    ("encoding", "line"), [("utf-16", 1), ("utf-16-be", 2), ("latin-1", 2), ("utf-32", 1)]
)
def test_a_file_in_another_encoding_is_refused_with_what_to_do(
    tmp_path: Path, encoding: str, line: int
) -> None:
    file = tmp_path / "stages.toml"
    file.write_bytes('app_name = "shop"\n# über\n'.encode(encoding))

    with pytest.raises(ConfigError) as refused:
        read_stage("dev", file=file)

    assert refused.value.problems == [f"stages.toml: line {line} is not UTF-8; save it as UTF-8"]
