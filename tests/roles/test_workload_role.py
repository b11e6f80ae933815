# SPDX-License-Identifier: MIT
"""The role workload: no test load unless it is asked for, and none once it no longer is.

What it takes to have cron itself (apt, systemd) is left out.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.host import Host, Play, playbook

pytestmark = pytest.mark.root  # only root can make a host of its own
JOB = "/etc/cron.d/so1-workload"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    made = Host(tmp_path_factory.mktemp("host"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def role(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return playbook(tmp_path_factory.mktemp("role"), {"role": "workload"})


def run(host: Host, role: Path, *options: str, **variables: object) -> Play:
    play = host.play(role, "--skip-tags", "workload_cron", *options, **variables)
    assert play.status == 0, play.output
    return play


def there(host: Host) -> bool:
    return host.inside("test", "-e", JOB, check=False).returncode == 0


def test_off_by_default(host: Host, role: Path) -> None:
    assert run(host, role).changed == 0
    assert not there(host)


@pytest.mark.parametrize("off", [{}, {"workload_enabled": False}, {"workload_enabled": "false"}])
def test_on_when_asked_for_and_off_again(host: Host, role: Path, off: dict[str, object]) -> None:
    on = {"workload_enabled": True, "workload_schedule": "*/7 * * * *"}
    assert run(host, role, **on).changed == 1
    assert host.inside("stat", "-c", "%a %U %G", JOB).stdout.split() == ["644", "root", "root"]
    jobs = [line for line in host.inside("cat", JOB).stdout.splitlines() if "so1 workload" in line]
    assert [job.split()[:6] for job in jobs] == [["*/7", "*", "*", "*", "*", "so1"]]
    assert run(host, role, **on).changed == 0
    run(host, role, "--check", **off)
    assert there(host)
    assert run(host, role, **off).changed == 1
    assert not there(host)
    assert run(host, role, **off).changed == 0
