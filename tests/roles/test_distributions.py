# SPDX-License-Identifier: MIT
"""Which distributions are taken, by the very task that says so; which packages an engine needs."""

import json
from pathlib import Path

import pytest
import yaml

from tests.support.plays import REPOSITORY, play


def known(distribution: str, major: str, version: str) -> dict[str, object]:
    """Give what Ansible would find out of a host."""
    return {
        "distribution": distribution,
        "distribution_major_version": major,
        "distribution_version": version,
        "architecture": "x86_64",
        "service_mgr": "systemd",
    }


@pytest.mark.parametrize(
    ("distribution", "major", "version", "engine"),
    [
        ("Debian", "12", "12.11", ["docker.io", "apparmor"]),
        ("Debian", "13", "13.1", ["docker.io", "apparmor", "docker-cli"]),
        ("Ubuntu", "24", "24.04", ["docker.io", "apparmor"]),
        ("Debian", "11", "11.9", None),
        ("Ubuntu", "24", "24.10", None),
        ("Ubuntu", "22", "22.04", None),
        ("Fedora", "42", "42", None),
    ],
)
def test_a_distribution_is_taken_or_refused_in_one_sentence(
    tmp_path: Path, distribution: str, major: str, version: str, engine: list[str] | None
) -> None:
    roles = REPOSITORY / "roles"
    (supported,) = [
        task
        for task in yaml.safe_load((roles / "preflight/tasks/main.yml").read_text())
        if task["name"] == "The distribution is supported"
    ]
    tasks = [
        {"set_fact": {**known(distribution, major, version), "cacheable": True}},
        supported,
        {"debug": {"msg": "{{ {'packages': docker_engine_packages} | to_json }}"}},
        {"debug": {"msg": "{{ {'packages': preflight_wanted.docker_packages} | to_json }}"}},
    ]
    files = [
        str(roles / name)
        for name in (
            "preflight/defaults/main.yml",
            "preflight/vars/main.yml",
            "docker_engine/defaults/main.yml",
            "docker_engine/vars/main.yml",
        )
    ]
    done = play(tmp_path, tasks, {}, files=files)
    said = " ".join(done.stdout.split())
    if engine is None:
        assert done.returncode != 0
        assert (
            f"Ubuntu 24.04, on x86_64 under systemd; this host is {distribution} {version}" in said
        )
    else:
        assert done.returncode == 0, done.stdout
        assert said.count(json.dumps({"packages": engine})) == 2, said
