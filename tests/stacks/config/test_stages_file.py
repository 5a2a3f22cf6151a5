"""stages.toml: stages of any name, tables by what keys size, a stage that extends another."""

from pathlib import Path

import pytest

from stacks.config.read_stage import KEYS, explain_stage, nested, read_stage
from stacks.config.stage import CONFIGURABLE, Stage
from stacks.config.stages_file import SECTIONS, stage_names
from stacks.config.values import ConfigError

FILE = """
app_name = "shop"
[worker]
concurrency = 20
[prod]
is_protected = true
[prod.worker]
max_count = 10
[prod.database]
max_acu = 8
[staging]
extends = "prod"
is_protected = false
[staging.worker]
max_count = 2
[eu-west-2]
extends = "staging"
"""


def problems(text: str, stage: str, file: Path, **overrides: object) -> list[str]:
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        read_stage(stage, overrides, file=file)
    return raised.value.problems


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "stages.toml").write_text(FILE)
    return tmp_path / "stages.toml"


def test_a_stage_is_a_table_and_local_is_always_one(file: Path) -> None:
    assert stage_names(file) == ("prod", "staging", "eu-west-2", "local")
    assert read_stage("staging", file=file).names.cluster == "shop-staging-cluster"
    assert read_stage("local", file=file) == Stage(
        stage="local", app_name="shop", worker_concurrency=20
    )


def test_a_stage_that_extends_another_says_what_is_different(file: Path) -> None:
    prod, staging, third = (read_stage(name, file=file) for name in stage_names(file)[:3])
    assert (prod.worker_max_count, prod.database_max_acu, prod.is_protected) == (10, 8, True)
    assert (staging.worker_max_count, staging.database_max_acu) == (2, 8)
    assert (third.worker_max_count, third.is_protected) == (2, False)
    assert {each.worker_concurrency for each in (prod, staging, third)} == {20}


def test_each_value_has_the_line_that_it_is_from(file: Path) -> None:
    _, lines = explain_stage("staging", {"worker.cpu": "512"}, file=file)
    found = {key: (line.key, line.table) for key, line in lines.items()}
    assert found == {
        "app_name": ("app_name", ""),
        "worker_concurrency": ("worker.concurrency", ""),
        "is_protected": ("is_protected", "staging"),
        "worker_max_count": ("worker.max_count", "staging"),
        "database_max_acu": ("database.max_acu", "prod"),
        "worker_cpu": ("worker.cpu", "-c"),
    }


@pytest.mark.parametrize("key", CONFIGURABLE)
def test_a_key_means_the_same_by_both_its_names(key: str) -> None:
    assert KEYS[key] == KEYS[nested(key)] == key
    assert ("." in nested(key)) == key.startswith(
        tuple(f"{section}_" for section in SECTIONS)
    ) or "network" in nested(key)


@pytest.mark.parametrize("written", ["worker_max_count = 3", "worker.max_count = 3"])
def test_what_the_command_line_gives_counts_by_either_name(written: str, file: Path) -> None:
    file.write_text(f"[dev]\n{written}\n")
    for name in ("worker_max_count", "worker.max_count"):
        assert read_stage("dev", {name: "7"}, file=file).worker_max_count == 7


@pytest.mark.parametrize(
    "name", ["Dev", "1st", "a--b", "a-", "-a", "a_b", "é", "a" * 17, "a b", "a\\n", ""]
)
def test_a_name_that_aws_refuses_is_refused(name: str, file: Path) -> None:
    (said,) = problems(f'[dev]\n["{name}"]\n', "dev", file)
    assert said.endswith(
        "a stage's name is a-z, 0-9 and single hyphens, a letter first, 16 at most"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[dev]\n[dev.worker]\nmax_cont = 3\n",
         ["worker.max_cont: no such key; did you mean worker.max_count?"]),
        ("[dev]\n[dev.wroker]\nmax_count = 3\n", ["wroker: no such key; did you mean worker?"]),
        ("[dev]\nworker_max_cont = 3\n",
         ["worker_max_cont: no such key; did you mean worker_max_count?"]),
        ("[dev]\n[dev.worker]\ncpu = 3\n", ["worker.cpu = 3: allowed is one of 256, 512, 1024, "
                                           "2048, 4096, 8192, 16384"]),
        ("[dev]\nworker_cpu = 256\n[dev.worker]\ncpu = 512\n",
         ["worker.cpu: stands twice in [dev], as worker_cpu, too"]),
        ("[dev]\nworker = 3\n", ["worker: no such key; did you mean worker_cpu?"]),
        ("[dev]\n[dev.worker.cpu]\nunits = 3\n", ["worker.cpu = {'units': 3}: allowed is one of "
                                                 "256, 512, 1024, 2048, 4096, 8192, 16384"]),
        ('[dev]\nextends = "prd"\n[prod]\n',
         ["stages.toml: [dev] extends = 'prd': allowed is one of dev, prod, local"]),
        ("[dev]\nextends = [3]\n",
         ["stages.toml: [dev] extends = [3]: allowed is one of dev, local"]),
        ('[dev]\nextends = "dev"\n',
         ["stages.toml: [dev] extends = 'dev': which extends [dev] in its turn"]),
        ('[dev]\nextends = "a"\n[a]\nextends = "b"\n[b]\nextends = "a"\n',
         ["stages.toml: [a] extends = 'b': which extends [a] in its turn",
          "stages.toml: [b] extends = 'a': which extends [b] in its turn"]),
        ('extends = "dev"\n[dev]\n', ["extends: no such key"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_what_is_allowed(text: str, said: list[str], file: Path) -> None:
    found = problems(text, "dev", file)
    assert len(found) == len(said)
    assert all(each.startswith(start) for each, start in zip(found, said, strict=True)), found


def test_all_that_is_wrong_is_said_at_once(file: Path) -> None:
    text = "colour = 1\n[dev]\nworker_cpu = 3\n[dev.network]\negres = 'nat'\nvpc_cidr = '1'\n"
    assert len(problems(text, "dev", file, shape="round")) == 5
