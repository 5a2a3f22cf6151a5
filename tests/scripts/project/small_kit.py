"""A release of a kit that is small enough to be upgraded to in a second, and a project of it."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from scripts.project.git import Git, named
from scripts.project.new_project import create
from scripts.project.release_commit import last_release
from scripts.project.source import release_of
from scripts.project.upgrade import Upgrade, check_clean, preconditions
from scripts.terminal.render import Screen
from tests.conftest import ROOT

COPIED = (
    "pyproject.toml", "stages.toml", ".gitignore", ".gitattributes",
    "scripts/project/distribution.py", "scripts/project/parts.toml",
)  # fmt: skip
ENGINE = "".join(f"line_{number} = {number}\n" for number in range(20))
WRITTEN = {
    "dev/kit.mk": "",
    "README.md": "# The kit\n",
    "docs/tasks.md": "# Tasks\n",
    "docs/your-project.md": "# Your project\n",
    "scripts/engine.py": ENGINE,
    "tests/faults/of_the_kit.py": "",
    "service/domain/__init__.py": "",
    "service/domain/email/__init__.py": '"""E-mail."""\n',
    "service/domain/email/send.py": "RELEASE = 1\n",
    "stacks/domain/email.py": "RELEASE = 1\n",
    "service/domain/feeds/__init__.py": '"""Feeds."""\n',
    "service/domain/feeds/fetch.py": "".join(f"feed_{number} = 1\n" for number in range(20)),
    "tests/domain/feeds/test_feeds.py": "RELEASE = 1\n",
    "CHANGELOG.md": "# Changelog\n\n## 0.2.0\n\n- the first\n",
    "requirements.lock": "asyncpg==1 \\\n    --hash=sha256:aa\n",
    "requirements-telemetry.lock": "asyncpg==1 \\\n    --hash=sha256:aa\n",
    "requirements-dev.lock": "asyncpg==1 \\\n    --hash=sha256:aa\n",
    # A release is red where a file says so.
    "Makefile": (
        "check:\n\t@! grep -rn broken scripts\ntest synth setup cdk:\n"
        "lock:\n\t@for each in requirements*.lock; do echo '# made anew' >>$$each; done\n"
    ),
}
OWNER = named("Ada", "ada@example.com")


@dataclass
class Kit:
    """The files of the release that is next."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Kit":
        kit = cls(folder)
        for path in COPIED:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, folder / path)
        for path, text in WRITTEN.items():
            kit.write(path, text)
        kit.release("0.2.0")
        return kit

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def change(self, path: str, old: str, new: str) -> None:
        text = (self.folder / path).read_text()
        assert old in text
        self.write(path, text.replace(old, new))

    def release(self, name: str) -> None:
        """Call the release so, with a section in the changelog."""
        text = (self.folder / "pyproject.toml").read_text()
        self.write("pyproject.toml", re.sub('(?m)^version = "[^"]*"', f'version = "{name}"', text))
        changelog = (self.folder / "CHANGELOG.md").read_text()
        section = f"## {name}\n\n### Upgrading\n\n- know of {name}\n\n"
        if f"## {name}" not in changelog:
            self.write("CHANGELOG.md", changelog.replace("## ", f"{section}## ", 1))


@dataclass
class Project:
    """A project, and what its team does in it."""

    folder: Path

    @classmethod
    def make(cls, kit: Kit, folder: Path) -> "Project":
        create(kit.folder, folder, app="shop")
        return cls(folder)

    @property
    def git(self) -> Git:
        return Git(self.folder, OWNER)

    def read(self, path: str) -> str:
        return (self.folder / path).read_text()

    def has(self, path: str) -> bool:
        return (self.folder / path).exists()

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def commit(self, what: str = "Work") -> None:
        self.git.run("add", "--all")
        self.git.run("commit", "--quiet", "-m", what)

    def upgrade(
        self,
        place: Path | str,
        version: str | None = None,
        *,
        keep: bool = False,
        dry_run: bool = False,
    ) -> bool:
        """As `moor upgrade`; False where the project has that release already."""
        git, path = self.git, {"PATH": "/usr/bin:/bin"}
        check_clean(git)
        with release_of(str(place), version, last_release(git).source) as release:
            before = preconditions(git, release)
            if before is not None:
                upgrade = Upgrade(git, Screen({}), path)
                upgrade.run(release, before, keep=keep, dry_run=dry_run)
        return before is not None

    def state(self) -> dict[str, str]:
        """All that an upgrade which ends well or not at all may not change halfway."""
        git = self.git
        files = {
            str(each.relative_to(self.folder)): each.read_text()
            for each in sorted(self.folder.rglob("*"))
            if each.is_file() and not {".git", ".moorage"} & set(each.parts)
        }
        asked = (["rev-parse", "HEAD"], ["status", "--porcelain"], ["for-each-ref"],
                 ["worktree", "list"], ["stash", "list"])  # fmt: skip
        return files | {" ".join(words): git.run(*words) for words in asked}
