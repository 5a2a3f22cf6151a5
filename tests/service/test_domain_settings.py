"""What the domains read of the environment is checked when a process starts, with all else."""

import sys
from pathlib import Path

import pytest

from service.contract import ProcessName
from service.domain_settings import domain_problems
from service.settings import SettingsError, load_settings

SHOP = """
from pydantic import Field, SecretStr
from service.contract import ProcessName
from service.settings import DomainSettings


class Settings(DomainSettings):
    site_name: str = "Shop"
    batch_rows: int = Field(100, ge=1, le=500)
    shop_token: SecretStr


class OfWorkers(DomainSettings):
    processes = (ProcessName.WORKER,)
    rate: float
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of domains, of which one has settings."""
    name = f"domains_{tmp_path.name.replace('-', '_')}"
    for domain in ("shop", "blog"):
        (tmp_path / name / domain).mkdir(parents=True)
        (tmp_path / name / domain / "__init__.py").touch()
    (tmp_path / name / "__init__.py").touch()
    (tmp_path / name / "shop/settings.py").write_text(SHOP)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_each_process_says_what_it_misses(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert domain_problems(ProcessName.API, package) == ["SHOP_TOKEN: missing"]
    assert domain_problems(ProcessName.WORKER, package) == ["SHOP_TOKEN: missing", "RATE: missing"]
    monkeypatch.setenv("SHOP_TOKEN", "canary")
    monkeypatch.setenv("BATCH_ROWS", "900")
    monkeypatch.setenv("RATE", "canary")
    assert domain_problems(ProcessName.API, package) == [
        "BATCH_ROWS: must be a number from 1 to 500"
    ]
    said = "".join(domain_problems(ProcessName.WORKER, package))
    assert "RATE: Input should be a valid number" in said
    assert "canary" not in said


def test_a_domain_has_its_settings(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "canary")
    assert domain_problems(ProcessName.API, package) == []
    settings = sys.modules[f"{package}.shop.settings"].Settings()
    assert (settings.site_name, settings.batch_rows) == ("Shop", 100)
    assert settings.shop_token.get_secret_value() == "canary"
    assert "canary" not in repr(settings)


def test_they_are_said_together_with_the_service_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE", "local")
    with pytest.raises(SettingsError) as refused:
        load_settings(ProcessName.WORKER, also=["SHOP_TOKEN: missing"])
    assert refused.value.problems == ["DATABASE_URL: missing", "SHOP_TOKEN: missing"]
    monkeypatch.setenv("DATABASE_URL", "postgresql:///none")
    with pytest.raises(SettingsError) as refused:
        load_settings(ProcessName.WORKER, also=["SHOP_TOKEN: missing"])
    assert refused.value.problems == ["SHOP_TOKEN: missing"]
