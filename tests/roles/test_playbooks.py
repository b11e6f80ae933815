# SPDX-License-Identifier: MIT
"""What a user types in a clone, as far as it needs no host."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
ROLES = {
    "docker": "docker_engine",
    "kernel": "kernel_modules",
    "daemon": "so1_daemon",
    "workload": "workload",
    "grafana": "so1_grafana",
}


def asked(*command: str) -> str:
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


def test_without_an_inventory_only_the_lab_is_meant() -> None:
    told = json.loads(asked("ansible-inventory", "--list"))
    assert list(told["_meta"]["hostvars"]) == ["so1-lab"]
    assert told["_meta"]["hostvars"]["so1-lab"]["ansible_host"] == "127.0.0.1"


@pytest.mark.parametrize("tag", ROLES)
def test_a_tag_runs_its_part_after_the_checks_and_no_other(tag: str) -> None:
    listed = asked("ansible-playbook", "site.yml", "--list-tasks", "--tags", tag).splitlines()
    tasks = [line.split(" : ")[0].strip() for line in listed if "TAGS: [always" not in line]
    assert {role for role in ROLES.values() if role in tasks} == {ROLES[tag]}
    assert any("preflight : The distribution is supported" in line for line in listed)


def test_a_limit_is_taken() -> None:
    listed = asked("ansible-playbook", "site.yml", "--list-hosts", "--limit", "so1-lab")
    assert "so1-lab" in listed


SERIAL = '{"so1_serial": [1, "50%", "100%"], "so1_max_fail_percentage": 0}'


def test_a_canary_goes_through_all_parts_before_the_others(tmp_path: Path) -> None:
    """With site.yml's own play, whose roles are replaced by one task that fails on a host."""
    (before, play, *_) = yaml.safe_load((REPOSITORY / "playbooks/site.yml").read_text())
    assert before["import_playbook"] == "preflight.yml"
    assert [role["role"] for role in play["roles"]] == list(ROLES.values())
    play["gather_facts"] = False
    play["roles"] = []
    play["tasks"] = [
        {"debug": {"msg": "at {{ inventory_hostname }}"}},
        {"fail": {"msg": "no"}, "when": "inventory_hostname == broken"},
    ]
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    names: dict[str, dict[str, str]] = {name: {} for name in "abcd"}
    hosts = {"monitored": {"hosts": names}}
    (tmp_path / "hosts.json").write_text(json.dumps(hosts))
    reached = {}
    for broken in ("a", "b", "none"):
        done = subprocess.run(
            [
                *("ansible-playbook", "-i", tmp_path / "hosts.json", "-e", SERIAL),
                *("-e", f"broken={broken}", tmp_path / "play.yml"),
            ],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        reached[broken] = [name for name in "abcd" if f"msg: at {name}" in done.stdout]
    assert reached == {"a": ["a"], "b": ["a", "b", "c"], "none": ["a", "b", "c", "d"]}


@pytest.mark.parametrize("folder", ["/", str(REPOSITORY / "playbooks")])
@pytest.mark.parametrize("name", ["site.yml", "playbooks/daemon.yml", "playbooks/remove.yml"])
def test_playbooks_find_their_roles_from_every_folder(folder: str, name: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "ANSIBLE_CONFIG"}
    done = subprocess.run(
        [
            *("ansible-playbook", "-i", REPOSITORY / "inventory/example", "--list-tasks"),
            REPOSITORY / name,
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "so1_daemon : " in done.stdout


def test_every_play_asks_for_few_facts() -> None:
    """In ansible.cfg the setting has been dead since ansible-core 2.18."""
    for path in REPOSITORY.glob("playbooks/*.yml"):
        for play in yaml.safe_load(path.read_text()):
            if "hosts" in play:
                few = play.get("gather_facts") is False or "!all" in play.get("gather_subset", [])
                assert few, (path.name, play["name"])


@pytest.mark.parametrize("step", ["configure", "install"])
def test_a_step_has_its_tag(step: str) -> None:
    listed = asked("ansible-playbook", "site.yml", "--list-tasks", "--tags", step)
    assert ("so1_daemon : The configuration is there" in listed) == (step == "configure")
    assert ("so1_daemon : Make the wheels on the controller" in listed) == (step == "install")
    assert ("kernel_modules : The modules are built" in listed) == (step == "install")
    assert ("kernel_modules : The modules' parameters are set" in listed) == (step == "configure")


def test_one_part_needs_nothing_that_another_found_out(tmp_path: Path) -> None:
    """What Ansible runs of every role whatever the tags are: the checks of its arguments."""
    (_, play, *_) = yaml.safe_load((REPOSITORY / "playbooks/site.yml").read_text())
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    hosts = {"monitored": {"hosts": {"localhost": {"ansible_connection": "local"}}}}
    (tmp_path / "hosts.json").write_text(json.dumps(hosts))
    asked(
        "ansible-playbook",
        "-i",
        str(tmp_path / "hosts.json"),
        str(tmp_path / "play.yml"),
        "--tags",
        "none",
    )
