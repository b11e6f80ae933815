# SPDX-License-Identifier: MIT
"""A run that is cut off after anything it changed, and then is repeated, ends as one that was not.

systemd is replaced; what the units' commands note is real.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.host import REPOSITORY, Host, Play, playbook
from tests.support.services import done_to, with_services

pytestmark = pytest.mark.root  # only root can make a host of its own
PLUGIN = {
    "ANSIBLE_CALLBACK_PLUGINS": str(REPOSITORY / "tests/support/callbacks"),
    "ANSIBLE_CALLBACKS_ENABLED": "cut",
}
CUT = 99
# Prometheus' answer to who it is.
FLAGS = """
import http.server, json

class Flags(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        state = {"storage.tsdb.path": "/var/lib/so1-prometheus"}
        self.wfile.write(json.dumps({"data": state}).encode())

http.server.HTTPServer(("127.0.0.1", 9090), Flags).serve_forever()
"""
DAEMON = f"""
set -e
mount -t tmpfs tmpfs /opt
mount -t tmpfs tmpfs /var/lib
sed -i '/^so1:/d' /etc/passwd /etc/group
echo 'so1:x:64321:' >>/etc/group
mkdir -p /var/lib/so1 /etc/so1 /etc/systemd/system
mkdir -p /opt/so1/releases/one/bin /opt/so1/releases/two/bin
for release in one two; do ln -s {REPOSITORY}/.venv/bin/so1 /opt/so1/releases/$release/bin/so1; done
ln -s releases/one /opt/so1/venv
"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    with_services(made)
    yield made
    made.stop()


def whole(host: Host, play: Path, variables: dict[str, Any]) -> Play:
    done = host.play(play, **variables)
    assert done.status == 0, done.output
    return done


def cuts(host: Host, play: Path, variables: dict[str, Any]) -> list[int]:
    """Go through, and find before which tasks a cut would matter."""
    noted = host.folder / "cuts"
    environment = {**PLUGIN, "SO1_CUTS": str(noted)}
    done = host.play_with(environment, play, **variables)
    assert done.status == 0, done.output
    return [int(line) for line in noted.read_text().split()]


def cut(host: Host, play: Path, number: int, variables: dict[str, Any]) -> None:
    done = host.play_with({**PLUGIN, "SO1_CUT": str(number)}, play, **variables)
    assert done.status == CUT, done.output


def cut_everywhere(
    host: Host, play: Path, there: dict[str, Any], here: dict[str, Any], checks: list[str]
) -> tuple[int, dict[str, Any]]:
    """Go from one set of variables to the other, cut off and repeated, for each task that matters.

    Each of the checks, commands for the shell, must then hold. Gives how many cuts there were, and
    the variables that the host has at the end.
    """
    where = cuts(host, play, here)
    for number in where:
        cut(host, play, number, there)
        whole(host, play, there)
        for check in checks:
            host.inside("sh", "-c", check)
        here, there = there, here
    assert whole(host, play, here).changed == 0
    return len(where), here


def test_prometheus_runs_what_is_on_disk(host: Host, tmp_path: Path) -> None:
    answer = subprocess.Popen(host.enter("python3", "-c", FLAGS))
    try:
        host.inside("mkdir", "-p", "/etc/systemd/system")
        parts = [
            {"include_role": {"name": "so1_prometheus", "tasks_from": part}}
            for part in ("configuration", "service")
        ]
        play = playbook(tmp_path, {"block": parts})
        common: dict[str, Any] = {"so1_prometheus_user": "root", "so1_prometheus_hosts": []}
        rules = (REPOSITORY / "prometheus/so1.rules.yml").read_text()
        (tmp_path / "other.yml").write_text(rules + "# other\n")
        one = common | {"so1_prometheus_retention_days": 3}
        two = common | {
            "so1_prometheus_retention_days": 4,
            "so1_prometheus_external_labels": {"site": "lab"},
            "so1_prometheus_rules": str(tmp_path / "other.yml"),
        }
        whole(host, play, one)
        assert done_to(host, "so1-prometheus.service") == ["start"]
        assert whole(host, play, one).changed == 0
        unit = "sha256sum </etc/systemd/system/so1-prometheus.service"
        checks = [
            "cat /etc/so1/prometheus/*.yml | sha256sum | cmp - /run/so1-prometheus/read",
            f"{unit} | cmp - /run/so1-prometheus/started-from",
        ]
        number, _ = cut_everywhere(host, play, one, two, checks)
        assert number >= 3
    finally:
        answer.kill()
        answer.wait()


def test_the_daemon_runs_what_is_on_disk(host: Host, tmp_path: Path) -> None:
    host.inside("sh", "-c", DAEMON)
    play = playbook(tmp_path, {"include_role": {"name": "so1_daemon", "tasks_from": "service"}})
    one = {"so1_daemon_interval": 10}
    two = {"so1_daemon_interval": 30, "so1_daemon_docker_timeout": 20}
    whole(host, play, one)
    assert done_to(host, "so1.service") == ["restart"]
    assert whole(host, play, one).changed == 0
    started_from = "(readlink /opt/so1/venv; cat /etc/systemd/system/so1.service) | sha256sum"
    checks = [
        f"{started_from} | cmp - /run/so1/started-from",
        "sha256sum </etc/so1/config.toml | cmp - /run/so1/read",
    ]
    number, here = cut_everywhere(host, play, one, two, checks)
    assert number >= 2
    # What changes while it runs is read again, and does not end it; a new version does.
    before = done_to(host, "so1.service")
    whole(host, play, here | {"so1_daemon_interval": 12})
    assert done_to(host, "so1.service")[len(before) :] == ["reload"]
    host.inside("ln", "-sfn", "releases/two", "/opt/so1/venv")
    whole(host, play, here | {"so1_daemon_interval": 12})
    assert done_to(host, "so1.service")[len(before) + 1 :] == ["restart"]
