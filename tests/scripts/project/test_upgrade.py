"""`moor upgrade`: what is the project's stays, what is Moorage's follows, or nothing changes."""

import shutil
from pathlib import Path

import pytest

from scripts.errors import NotFoundError, OperatorError, RefusedError, UsageError
from scripts.project.git import Git
from tests.scripts.project.small_kit import OWNER, Kit, Project


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit.make(tmp_path / "moorage")


@pytest.fixture
def project(kit: Kit, tmp_path: Path) -> Project:
    """A project of release 0.2.0 that has a domain of its own."""
    made = Project.make(kit, tmp_path / "shop")
    made.write("service/domain/till/__init__.py", '"""The till."""\n')
    made.write("stages.toml", made.read("stages.toml") + "\n[staging]\nallow_http = true\n")
    made.write("README.md", "# The shop\n")
    made.commit()
    return made


def next_release(kit: Kit) -> None:
    """0.3.0 changes something of each kind."""
    kit.change("scripts/engine.py", "line_3 = 3", "line_3 = 'better'")
    kit.change("service/domain/feeds/fetch.py", "feed_3 = 1", "feed_3 = 2")
    kit.write("service/domain/feeds/new.py", "")
    kit.write("tests/domain/feeds/test_feeds.py", "RELEASE = 2\n")
    kit.write("service/domain/email/send.py", "RELEASE = 2\n")
    kit.write("service/domain/email/more.py", "RELEASE = 2\n")
    kit.write("service/domain/maps/__init__.py", '"""A new example."""\n')
    kit.write("tests/faults/of_the_kit.py", "changed = True\n")
    kit.write("docs/tasks.md", "# Tasks\n\nMore.\n")
    kit.change("stages.toml", "allow_http = true", "allow_http = false")
    kit.write("README.md", "# The kit, again\n")
    kit.write("requirements.lock", "asyncpg==2 \\\n    --hash=sha256:bb\n")
    kit.write("requirements-dev.lock", "asyncpg==2 \\\n    --hash=sha256:bb\n")
    kit.release("0.3.0")


def test_the_release_comes_in_and_what_is_the_project_s_stays(
    kit: Kit, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.git.run("rm", "-r", "--quiet", "service/domain/feeds", "tests/domain/feeds")
    project.git.run("rm", "--quiet", "docs/tasks.md")
    project.commit("Delete an example and a page")
    own = {name: project.read(name) for name in ("stages.toml", "README.md")}
    next_release(kit)

    assert project.upgrade(kit.folder)

    assert "'better'" in project.read("scripts/engine.py")
    assert project.read("service/domain/email/send.py") == "RELEASE = 2\n"  # nobody had changed it
    assert project.has("service/domain/email/more.py")
    assert {name: project.read(name) for name in own} == own
    for gone in ("service/domain/feeds", "tests/domain/feeds", "tests/faults", "docs/tasks.md"):
        assert not project.has(gone)
    assert not project.has("service/domain/maps"), "a new example is not the project's"
    assert project.read("requirements.lock") == "asyncpg==2 \\\n    --hash=sha256:bb\n"
    assert project.git.run("status", "--porcelain") == ""
    assert len(project.git.run("rev-list", "--parents", "-1", "HEAD").split()) == 3
    assert not project.has(".moorage/upgrade")
    shown = capsys.readouterr().out
    assert shown.index("know of 0.3.0") < shown.index("make check: passed")
    assert "docs/tasks.md is changed by the release, and stays deleted here" in shown
    assert not project.upgrade(kit.folder), "it is there already"


def test_one_release_after_the_other_comes_in(kit: Kit, project: Project) -> None:
    next_release(kit)
    project.upgrade(kit.folder)
    project.write("scripts/engine.py", project.read("scripts/engine.py") + "ours = True\n")
    project.commit()
    kit.change("scripts/engine.py", "'better'", "'best'")
    kit.release("0.4.0")

    project.upgrade(kit.folder)

    assert "'best'" in project.read("scripts/engine.py")
    assert "ours = True" in project.read("scripts/engine.py")


def test_an_example_that_was_changed_is_the_project_s(kit: Kit, project: Project) -> None:
    project.write("service/domain/feeds/fetch.py", "ours = True\n")
    project.commit()
    next_release(kit)
    project.upgrade(kit.folder)
    assert project.read("service/domain/feeds/fetch.py") == "ours = True\n"
    assert project.read("tests/domain/feeds/test_feeds.py") == "RELEASE = 1\n"
    assert not project.has("service/domain/feeds/new.py")


def test_a_domain_made_of_an_example_is_not_mistaken_for_it(kit: Kit, project: Project) -> None:
    project.git.run("mv", "service/domain/feeds", "service/domain/news")
    project.git.run("mv", "tests/domain/feeds", "tests/domain/news")
    project.commit()
    before = project.read("service/domain/news/fetch.py")
    next_release(kit)
    project.upgrade(kit.folder)
    assert project.read("service/domain/news/fetch.py") == before
    assert not project.has("service/domain/feeds")
    assert not project.has("service/domain/news/new.py")


def test_an_example_that_a_release_drops_stays(kit: Kit, project: Project) -> None:
    next_release(kit)
    shutil.rmtree(kit.folder / "service/domain/email")
    (kit.folder / "stacks/domain/email.py").unlink()
    project.upgrade(kit.folder)
    assert project.read("service/domain/email/send.py") == "RELEASE = 1\n"


def conflict(kit: Kit, project: Project) -> None:
    """Both change one line, and each a file that the other deletes or changes."""
    project.write(
        "scripts/engine.py", project.read("scripts/engine.py").replace("line_3 = 3", "line_3 = 'x'")
    )
    project.commit()
    next_release(kit)


def test_a_conflict_leaves_the_project_as_it_was(kit: Kit, project: Project) -> None:
    conflict(kit, project)
    before = project.state()
    with pytest.raises(RefusedError, match=r"the same lines of:\nscripts/engine\.py"):
        project.upgrade(kit.folder)
    assert project.state() == before


def test_a_conflict_may_be_kept_to_be_solved_by_hand(kit: Kit, project: Project) -> None:
    conflict(kit, project)
    before = project.state()
    with pytest.raises(RefusedError) as caught:
        project.upgrade(kit.folder, keep=True)
    assert "git merge --abort" in caught.value.hint
    assert "<<<<<<<" in project.read("scripts/engine.py")
    assert project.read("service/domain/email/send.py") == "RELEASE = 2\n"
    project.git.run("merge", "--abort")
    assert project.state() == before


def broken(kit: Kit) -> None:
    next_release(kit)
    kit.write("scripts/engine.py", "broken\n")


def test_a_red_check_leaves_the_project_as_it_was(
    kit: Kit, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    broken(kit)
    before = project.state()
    with pytest.raises(OperatorError, match="`make check` fails with Moorage"):
        project.upgrade(kit.folder)
    assert project.state() == before
    shown = capsys.readouterr().out
    assert "scripts/engine.py:1:broken" in shown
    assert "make test" not in shown


def test_a_red_merge_may_be_kept_to_be_mended(kit: Kit, project: Project) -> None:
    broken(kit)
    before = project.state()
    with pytest.raises(OperatorError):
        project.upgrade(kit.folder, keep=True)
    assert project.read("scripts/engine.py") == "broken\n"
    assert project.git.has("MERGE_HEAD", "scripts/engine.py")
    project.git.run("merge", "--abort")
    assert project.state() == before


def test_a_dry_run_changes_nothing(
    kit: Kit, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    next_release(kit)
    before = project.state()
    project.upgrade(kit.folder, dry_run=True)
    assert project.state() == before
    shown = capsys.readouterr().out
    assert "know of 0.3.0" in shown
    assert "make check" not in shown


def test_what_is_not_committed_is_refused(kit: Kit, project: Project) -> None:
    next_release(kit)
    project.write("service/domain/till/new.py", "")
    with pytest.raises(RefusedError, match="not everything is committed"):
        project.upgrade(kit.folder)


def test_own_dependencies_stay_locked_beside_those_of_the_release(
    kit: Kit, project: Project
) -> None:
    pyproject = project.read("pyproject.toml")
    begin = pyproject.index("# yours")
    line = pyproject.index("\n", begin) + 1
    project.write("pyproject.toml", f'{pyproject[:line]}    "own>=7",\n{pyproject[line:]}')
    own = "own==7 \\\n    --hash=sha256:cc\n"
    project.write("requirements.lock", project.read("requirements.lock") + own)
    project.write("requirements-dev.lock", project.read("requirements-dev.lock") + own)
    project.commit()
    next_release(kit)

    project.upgrade(kit.folder)

    assert '"own>=7"' in project.read("pyproject.toml")
    wanted = f"asyncpg==2 \\\n    --hash=sha256:bb\n{own}# made anew\n"
    assert project.read("requirements.lock") == wanted
    assert project.read("requirements-dev.lock") == wanted


def test_a_squashed_upgrade_is_noticed_and_mended(kit: Kit, project: Project) -> None:
    project.write("scripts/engine.py", project.read("scripts/engine.py") + "ours = True\n")
    project.commit()
    start = project.git.run("rev-parse", "HEAD")
    next_release(kit)
    project.upgrade(kit.folder)
    tree = project.git.run("rev-parse", "HEAD^{tree}")
    message = project.git.run("log", "--format=%B", f"{start}..HEAD")  # as a forge writes it
    squashed = project.git.run("commit-tree", tree, "-p", start, given=message)
    project.git.run("reset", "--quiet", "--hard", squashed)
    third = Kit(Path(shutil.copytree(kit.folder, kit.folder.with_name("third"))))
    third.change("scripts/engine.py", "'better'", "'best'")
    third.release("0.4.0")
    with pytest.raises(RefusedError, match="squashed") as caught:
        project.upgrade(third.folder)
    assert "moor upgrade 0.3.0" in caught.value.hint

    project.upgrade(kit.folder)
    assert project.git.run("rev-parse", "HEAD^{tree}") == tree
    project.upgrade(third.folder)
    assert "'best'" in project.read("scripts/engine.py")
    assert "ours = True" in project.read("scripts/engine.py")


def test_releases_are_the_tags_of_a_repository(kit: Kit, project: Project, tmp_path: Path) -> None:
    git = Git(kit.folder, OWNER)
    git.run("init", "--quiet")
    for release in ("0.3.0", "0.10.0"):
        kit.change("docs/tasks.md", "# Tasks", f"# Tasks of {release}")
        kit.release(release)
        git.run("add", "--all")
        git.run("commit", "--quiet", "-m", release)
        git.run("tag", f"v{release}")
        kit.write("docs/tasks.md", "# Tasks\n")
    git.run("tag", "nightly")
    repository = tmp_path / "releases.git"
    git.run("clone", "--quiet", "--bare", ".", str(repository))
    address = repository.as_uri()

    with pytest.raises(NotFoundError, match=r"no release 0\.4\.0"):
        project.upgrade(address, "0.4.0")
    project.upgrade(address, "0.3.0")
    assert project.read("docs/tasks.md") == "# Tasks of 0.3.0\n"
    project.upgrade(address)
    assert project.read("docs/tasks.md") == "# Tasks of 0.10.0\n"
    with pytest.raises(RefusedError, match="is older"):
        project.upgrade(address, "0.3.0")
    with pytest.raises(UsageError, match="is not a release"):
        project.upgrade(address, "newest")


def test_a_colleague_s_clone_takes_the_next_release(
    kit: Kit, project: Project, tmp_path: Path
) -> None:
    project.git.run("clone", "--quiet", str(project.folder), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    next_release(kit)
    clone.upgrade(kit.folder)
    assert "'better'" in clone.read("scripts/engine.py")


def test_a_history_without_a_release_is_refused(kit: Kit, tmp_path: Path) -> None:
    other = Project(tmp_path / "other")
    other.write("file", "")
    other.git.run("init", "--quiet")
    other.commit()
    with pytest.raises(OperatorError, match="no release of Moorage is in the history"):
        other.upgrade(kit.folder)
