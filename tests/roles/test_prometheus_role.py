# SPDX-License-Identifier: MIT
"""What the roles make of an inventory: the daemon's configuration, the targets, Prometheus' own."""

import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import bcrypt
import msgspec
import pytest
import yaml

from so1 import config
from tests.support import plays
from tests.support.plays import REPOSITORY, refusals, role, told

HASH = bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode()
OPEN = {"so1_daemon_metrics_enabled": True, "so1_daemon_metrics_address": "0.0.0.0"}
Play = Callable[..., plays.Done]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return partial(plays.play, tmp_path)


@pytest.mark.root  # files of root's are written
def test_what_is_configured_gets_there(play: Play, tmp_path: Path) -> None:
    folder = tmp_path / "so1/prometheus"
    monitored = {
        "observer": OPEN,
        "web": {**OPEN, "ansible_host": "192.0.2.7"},
        "mail.example.org": {**OPEN, "so1_daemon_metrics_port": 9999},
        "six": {**OPEN, "so1_daemon_metrics_address": "2001:db8::1"},
        "secret": {**OPEN, "so1_daemon_metrics_tls_certificate": "/x", "ansible_host": "192.0.2.8"},
        "hidden": {"so1_daemon_metrics_enabled": True, "so1_prometheus_target": "proxy:443"},
    }
    done = play(
        [role("so1_prometheus", "configuration")],  # which has promtool check what it writes
        monitored,
        so1_prometheus_directory=str(folder),
        so1_prometheus_user="root",  # Debian's package makes the other, and is not installed
        so1_prometheus_restarted={"changed": True},  # there is no service to be told
        so1_prometheus_scrape_user="so1",
        so1_prometheus_scrape_password="a 'quoted\": password",
        so1_prometheus_scrape_interval=5,
        so1_prometheus_remote_write=[{"url": "http://192.0.2.1:8428/api/v1/write"}],
        so1_prometheus_alertmanagers=["192.0.2.1:9093"],
        so1_prometheus_external_labels={"site": "lab"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    targets = json.loads((folder / "targets.json").read_text())
    assert {
        t["labels"]["instance"]: (t["targets"], t["labels"]["__scheme__"]) for t in targets
    } == {
        "observer": (["127.0.0.1:10201"], "http"),
        "web": (["192.0.2.7:10201"], "http"),
        "mail.example.org": (["mail.example.org:9999"], "http"),
        "six": (["[2001:db8::1]:10201"], "http"),
        "secret": (["192.0.2.8:10201"], "https"),
        "hidden": (["proxy:443"], "http"),
    }
    settings = yaml.safe_load((folder / "prometheus.yml").read_text())
    (scrape,) = settings["scrape_configs"]
    assert scrape["basic_auth"] == {"username": "so1", "password": "a 'quoted\": password"}
    assert settings["global"] == {
        "scrape_interval": "5000ms",
        "scrape_timeout": "5000ms",
        "evaluation_interval": "5000ms",
        "external_labels": {"site": "lab"},
    }
    assert settings["remote_write"] == [{"url": "http://192.0.2.1:8428/api/v1/write"}]
    (alertmanagers,) = settings["alerting"]["alertmanagers"]
    assert alertmanagers["static_configs"] == [{"targets": ["192.0.2.1:9093"]}]
    assert (folder / "prometheus.yml").stat().st_mode & 0o777 == 0o640


def test_what_cannot_work_is_refused(play: Play) -> None:
    monitored = {
        "observer": {"so1_daemon_metrics_enabled": True},
        "off": {},
        "closed": {"so1_daemon_metrics_enabled": True},
        "web": OPEN,
    }
    cases: dict[str, dict[str, Any]] = {
        "off does not serve metrics; set so1_daemon_metrics_enabled": {
            "so1_prometheus_hosts": ["off"]
        },
        "closed serves its metrics on loopback only; set so1_daemon_metrics_address": {
            "so1_prometheus_hosts": ["web", "closed"]
        },
        "so1_prometheus_port must be from 1024": {"so1_prometheus_port": 80},
        "must be given both or neither": {"so1_prometheus_scrape_user": "a"},
        "argument 'so1_prometheus_retention_days' is of type str": {
            "so1_prometheus_retention_days": "long"
        },
    }
    # On loopback an observer reaches itself.
    fine: dict[str, Any] = {"so1_prometheus_hosts": ["observer", "web"]}
    variables = [fine | case for case in cases.values()]
    done = play(refusals("so1_prometheus", [*variables, fine]), monitored)
    told(done, list(cases))


def test_the_daemons_role_refuses(play: Play) -> None:
    cases: dict[str, dict[str, Any]] = {
        "so1_daemon_metrics_port must be from 1024 to 65535": {"so1_daemon_metrics_port": 80},
        "so1_daemon_metrics_max_series must be from 200": {"so1_daemon_metrics_max_series": 1},
        "must map names to bcrypt hashes": {"so1_daemon_metrics_users": {"a": "secret"}},
        "must be given both or neither": {"so1_daemon_metrics_tls_key": "/x"},
    }
    done = play(refusals("so1_daemon", [*cases.values(), {}]), {})
    told(done, list(cases))


CHANGED = config.Config(
    interval=20.5,
    governor=config.Policy(
        maximum=40,
        keep_low=11,
        keep_high=12,
        grace=13.5,
        stop_timeout=14,
        trash_hours=22,
        trash_gib=23,
        trash_disk_percent=24,
        undo_spare_hours=25,
    ),
    docker=config.Docker(timeout=15.5),
    store=config.Store(retention_days=16.5, events_days=91, max_mib=17, top_processes=18),
    metrics=config.Metrics(port=19_000, top_processes=21, max_series=2_200),
    notify=config.Notify(per_hour=26, oldest_hours=27, batch_seconds=28),
)
"""Every number another than by default, and than any other."""


def numbers(settings: config.Config) -> dict[str, float]:
    """Those of the role's variables that are numbers, as a configuration has them."""
    whole = msgspec.to_builtins(settings)
    flat = whole | whole["store"]  # whose name is in no variable's
    for section in ("snapshot", "governor", "docker", "metrics", "notify", "workload"):
        flat |= {f"{section}_{key}": value for key, value in whole[section].items()}
    return {
        f"so1_daemon_{name}": value for name, value in flat.items() if type(value) in (int, float)
    }


def test_the_daemon_reads_what_its_role_writes(play: Play, tmp_path: Path) -> None:
    folder = REPOSITORY / "roles/so1_daemon"
    chosen = {
        "so1_daemon_metrics_enabled": True,
        "so1_daemon_metrics_users": {'a"b': HASH},
        "so1_daemon_metrics_tls_certificate": "/etc/ssl/x.pem",
        "so1_daemon_metrics_tls_key": "/etc/ssl/x.key",
    }
    variants: dict[str, dict[str, Any]] = {
        "off": {},
        "on": chosen,
        "open": {**chosen, "so1_daemon_metrics_address": "0.0.0.0"},
        "changed": numbers(CHANGED),
    }
    written = [
        {
            "template": {
                "src": str(folder / f"templates/{name}.j2"),
                "dest": str(tmp_path / f"{variant}-{name}"),
            },
            "vars": {"so1_daemon_prefix": "/opt/so1", **variables},
        }
        for variant, variables in variants.items()
        for name in ("config.toml", "so1.service")
    ]
    files = [str(folder / f"{part}/main.yml") for part in ("defaults", "vars")]
    files.append(str(REPOSITORY / "roles/workload/defaults/main.yml"))
    done = play(written, {}, files=files)
    assert done.returncode == 0, done.stdout

    for variant, expected in {"off": config.Config(), "changed": CHANGED}.items():
        read = config.load(tmp_path / f"{variant}-config.toml")
        assert msgspec.to_builtins(read) == msgspec.to_builtins(expected)
    changed = numbers(CHANGED)
    assert not changed.items() & numbers(config.Config()).items()
    assert len(set(changed.values())) == len(changed)
    defaults = yaml.safe_load((folder / "defaults/main.yml").read_text())
    assert {name for name, value in defaults.items() if type(value) in (int, float)} == set(changed)

    on = config.load(tmp_path / "on-config.toml").metrics
    assert (on.enabled, on.users, on.tls_key) == (True, {'a"b': HASH}, "/etc/ssl/x.key")
    units = {
        name: {*(tmp_path / f"{name}-so1.service").read_text().splitlines()} for name in variants
    }
    closed = {"PrivateNetwork=true", "RestrictAddressFamilies=AF_UNIX", "IPAddressDeny=any"}
    assert closed < units["off"]
    assert not [line for line in units["off"] if line.startswith("IPAddressAllow")]
    assert "PrivateNetwork=true" not in units["on"]
    assert {"IPAddressDeny=any", "IPAddressAllow=localhost"} < units["on"]
    assert "IPAddressAllow=localhost any" in units["open"]


def test_the_units_exposure_is_what_the_readme_says(play: Play, tmp_path: Path) -> None:
    folder = REPOSITORY / "roles/so1_daemon"
    written = [
        {
            "template": {
                "src": str(folder / "templates/so1.service.j2"),
                "dest": str(tmp_path / f"{name}.service"),
            },
            "vars": {"so1_daemon_metrics_enabled": name == "metrics"},
        }
        for name in ("plain", "metrics")
    ]
    files = [str(folder / f"{part}/main.yml") for part in ("defaults", "vars")]
    done = play(written, {}, files=files)
    assert done.returncode == 0, done.stdout
    found = []
    for name in ("plain", "metrics"):
        said = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", tmp_path / f"{name}.service"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        found.append(said.split("exposure level for ")[1].split()[1])
    readme = " ".join((folder / "README.md").read_text().split())
    assert f"gives {found[0]} on Debian 12, and {found[1]} with metrics" in readme


def test_hashes_of_passwords_are_in_no_diff(play: Play, tmp_path: Path) -> None:
    """With the very task that writes them."""
    folder = REPOSITORY / "roles/so1_daemon"
    (task,) = [
        task
        for task in yaml.safe_load((folder / "tasks/service.yml").read_text())
        if task["name"] == "The configuration is there"
    ]
    arguments = task.pop("ansible.builtin.template")
    arguments = {
        "src": str(folder / "templates" / arguments["src"]),
        "dest": str(tmp_path / "config.toml"),
    }
    task.pop("notify")
    files = [str(folder / f"{part}/main.yml") for part in ("defaults", "vars")]
    for users in ({}, {"prometheus": HASH}):
        done = play(
            [{**task, "template": arguments}],
            {},
            files=files,
            options=("--diff",),
            so1_daemon_metrics_users=users,
        )
        assert done.returncode == 0, done.stdout
        assert ("interval = 20" in done.stdout) == (not users)
        assert HASH not in done.stdout
    assert HASH in (tmp_path / "config.toml").read_text()
