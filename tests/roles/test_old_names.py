# SPDX-License-Identifier: MIT
"""For one release, variables work under the names that they had before, and a run says so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.plays import REPOSITORY, play, role

if TYPE_CHECKING:
    from pathlib import Path

ROLES = ["so1_grafana", "so1_prometheus"]


def read(name: str, part: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((REPOSITORY / "roles" / name / part).read_text())
    return found


@pytest.mark.parametrize("name", ROLES)
def test_every_old_name_is_what_its_variable_begins_with(name: str) -> None:
    told = read(name, "vars/main.yml")[f"{name}_old_names"]
    defaults = read(name, "defaults/main.yml")
    old = re.findall(r"[a-z_]+(?=[|)])", told)
    assert len(old) > 10
    for part in old:
        if part == "target":  # a host's own; see below
            continue
        before = f"{name.removeprefix('so1_')}_{part}"
        assert defaults[f"so1_{before}"].startswith(f"{{{{ {before} | default("), before
        assert re.search(told, before)


@pytest.mark.parametrize("name", ROLES)
def test_an_old_name_works_and_its_new_one_is_told(name: str, tmp_path: Path) -> None:
    before = name.removeprefix("so1_")
    shown = {"debug": {"msg": f"port {{{{ {name}_port }}}}"}}
    tasks: list[dict[str, Any]] = [
        {"include_role": {"name": name, "tasks_from": "check", "public": True}},
        shown,
    ]
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "3000" if before == "grafana" else "9090"),
        ({f"{before}_port": 4001}, "4001"),
        ({f"{name}_port": 4002}, "4002"),
        ({f"{before}_port": 4001, f"{name}_port": 4002}, "4002"),
    ]
    for given, port in cases:
        done = play(tmp_path, tasks, {}, so1_prometheus_hosts=[], **given)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"port {port}" in done.stdout
        told = f"{before}_port is now called {name}_port" in done.stdout
        assert told == (f"{before}_port" in given), given


def test_what_is_neither_role_s_variable_is_not_told(tmp_path: Path) -> None:
    """Whoever uses others' roles has such names too."""
    others: dict[str, Any] = {"grafana_version": "11", "prometheus_version": "3"}
    tasks = [role(name, "check") for name in ROLES]
    done = play(tmp_path, tasks, {}, so1_prometheus_hosts=[], **others)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is now called" not in done.stdout


def test_old_switches_reach_preflight(tmp_path: Path) -> None:
    """It asks for them outside of the role whose they are."""
    files = [str(REPOSITORY / f"roles/preflight/{part}/main.yml") for part in ("defaults", "vars")]
    shown = {"debug": {"msg": "{{ preflight_wanted.grafana }} {{ preflight_wanted.grafana_port }}"}}
    facts: dict[str, Any] = {"ansible_facts": {"distribution_major_version": "12"}}
    for prefix in ("", "so1_"):
        given: dict[str, Any] = {f"{prefix}grafana_enabled": False, f"{prefix}grafana_port": 4001}
        done = play(tmp_path, [shown], {}, files, **facts, **given)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "False 4001" in done.stdout


def test_a_host_s_old_target_is_scraped(tmp_path: Path) -> None:
    files = [
        str(REPOSITORY / f"roles/so1_prometheus/{part}/main.yml") for part in ("defaults", "vars")
    ]
    template = REPOSITORY / "roles/so1_prometheus/templates/targets.json.j2"
    task = {"template": {"src": str(template), "dest": str(tmp_path / "targets.json")}}
    hosts = {"a": {"prometheus_target": "a.example:1"}, "b": {"so1_prometheus_target": "b:2"}}
    done = play(tmp_path, [task], hosts, files)
    assert done.returncode == 0, done.stdout + done.stderr
    targets = yaml.safe_load((tmp_path / "targets.json").read_text())
    assert [one["targets"] for one in targets] == [["a.example:1"], ["b:2"]]
