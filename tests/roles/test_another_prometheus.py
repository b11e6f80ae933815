# SPDX-License-Identifier: MIT
"""A Prometheus that was there before is left alone; the service that a package brings is off."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.host import Host, playbook
from tests.support.services import asked_for, with_services

pytestmark = pytest.mark.root  # only root can make a host of its own


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    with_services(made)
    made.inside("mount", "-t", "tmpfs", "tmpfs", "/usr/local/bin")
    made.inside("mkdir", "-p", "/etc/systemd/system", "/run/packaged")
    made.inside("touch", "/run/packaged/prometheus.service")  # comes with the package
    yield made
    made.stop()


@pytest.mark.parametrize(
    "there", ["", "/usr/local/bin/prometheus", "/etc/systemd/system/prometheus.service"]
)
def test_only_what_the_role_brought_is_turned_off(host: Host, tmp_path: Path, there: str) -> None:
    if there:
        host.inside("touch", there)
    task = {"include_role": {"name": "so1_prometheus", "tasks_from": "package"}}
    play = host.play(playbook(tmp_path, task), debian_packages_installed=["prometheus"])
    assert play.status == 0, play.output
    touched = [line for line in asked_for(host) if "prometheus.service" in line]
    assert (touched == []) == bool(there), touched
