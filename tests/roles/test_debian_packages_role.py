# SPDX-License-Identifier: MIT
"""The role debian_packages, with a real apt: nothing is removed, and nothing is fetched again."""

import fcntl
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import plays
from tests.support.packages import Packages
from tests.support.plays import REPOSITORY

Play = Callable[..., plays.Done]
NOWHERE = "deb http://127.0.0.1:1/debian nowhere main"


@pytest.fixture
def packages(tmp_path: Path) -> Packages:
    made = Packages(tmp_path / "packages")
    made.offer("cron")
    made.offer("docker.io", Conflicts="podman-docker")
    made.offer("podman-docker")
    return made


@pytest.fixture
def play(tmp_path: Path, packages: Packages) -> Play:
    def run(*names: str, options: tuple[str, ...] = (), **variables: Any) -> plays.Done:
        task = {
            "include_role": {"name": "debian_packages"},
            "vars": {"debian_packages_names": list(names)},
        }
        return plays.play(
            tmp_path, [task], {}, options=options, environment=packages.environment, **variables
        )

    return run


def sentence(done: plays.Done) -> str:
    return " ".join((done.stdout + done.stderr).split())


def test_what_is_missing_is_installed_and_the_lists_are_fetched_for_it(
    play: Play, packages: Packages
) -> None:
    first = play("cron")
    assert "changed=1" in first.stdout, first.stdout
    assert packages.installed() == ["cron"]
    again = play("cron")
    assert "changed=0" in again.stdout, again.stdout


def test_where_nothing_is_missing_apt_is_not_asked(play: Play, packages: Packages) -> None:
    packages.update()
    packages.install("cron")
    packages.sources.write_text("nonsense\n")  # on which every call of apt's fails
    with (packages.admin / "lock-frontend").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        done = play("cron", debian_packages_lock_timeout=1)
    assert done.returncode == 0, sentence(done)
    assert "changed=0" in done.stdout


def test_a_broken_source_of_somebody_elses_hinders_nothing(play: Play, packages: Packages) -> None:
    packages.source(NOWHERE)
    done = play("cron")
    assert done.returncode == 0, sentence(done)
    assert packages.installed() == ["cron"]


def test_without_any_source_one_sentence_says_so(play: Play, packages: Packages) -> None:
    packages.sources.write_text(f"{NOWHERE}\n")
    done = play("cron")
    assert done.returncode != 0
    assert (
        "apt cannot install cron. apt said: No package matching 'cron' is available; "
        "W: Failed to fetch http://127.0.0.1:1/" in sentence(done)
    )


def test_nothing_is_removed(play: Play, packages: Packages) -> None:
    packages.update()
    packages.install("podman-docker")
    done = play("cron", "docker.io")
    assert done.returncode != 0
    assert "SO1 removes no package, and apt would have to for cron, docker.io." in sentence(done)
    assert packages.installed() == ["podman-docker"]


def test_an_apt_that_is_busy_is_waited_for_and_told(play: Play, packages: Packages) -> None:
    with (packages.lists / "lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        done = play("cron", debian_packages_lock_timeout=1)
    assert "apt is busy: another program has used it for more than 1 s." in sentence(done)
    assert play("cron").returncode == 0


def test_a_dry_run_refuses_what_a_real_one_would(play: Play, packages: Packages) -> None:
    # Without lists it cannot know; preflight does.
    done = play("cron", options=("--check",), debian_packages_installable=["cron"])
    assert done.returncode == 0, sentence(done)
    packages.update()
    done = play("cron", options=("--check",))
    assert done.returncode == 0, sentence(done)
    assert packages.installed() == []
    done = play("no-such-package", options=("--check",))
    assert done.returncode != 0
    assert "apt cannot install no-such-package" in sentence(done)


def tasks(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every task of the playbooks and roles, those within blocks too."""
    for path in sorted(folder.rglob("*.yml")):
        yield from map(
            partial(lambda path, task: (path, task), path), within(yaml.safe_load(path.read_text()))
        )


def within(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, list):
        for one in part:
            yield from within(one)
    if isinstance(part, dict):
        yield part
        for key in ("tasks", "pre_tasks", "post_tasks", "handlers", "block", "rescue", "always"):
            yield from within(part.get(key))


def test_every_task_that_installs_forbids_removals() -> None:
    found = [
        (path, task[name])
        for folder in ("roles", "playbooks")
        for path, task in tasks(REPOSITORY / folder)
        for name in ("ansible.builtin.apt", "apt", "ansible.builtin.package", "package")
        if name in task
    ]
    assert found
    for path, arguments in found:
        assert arguments.get("fail_on_autoremove") is True, path
        assert arguments.get("state", "present") == "present", path
    for path in [*REPOSITORY.glob("roles/*/tasks/*.yml"), *REPOSITORY.glob("roles/*/files/*.sh")]:
        for line in path.read_text().splitlines():
            assert not re.search(r"\b(apt-get|aptitude|dpkg) .*\b(install|remove|purge)\b", line), (
                line
            )
