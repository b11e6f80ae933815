# SPDX-License-Identifier: MIT
"""so1_facts through Ansible's own commands, and its documentation against what it does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import so1_facts
import yaml

from tests.modules.ansible_commands import (
    LOCAL,
    ansible,
    documentation,
    documented_options,
    foreign_imports,
    taken_options,
    undocumented,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.modules.captured_host import Host


def test_ad_hoc(host: Host, tmp_path: Path) -> None:
    arguments = f"top=5 sort=cpu proc_root={host.proc} sys_root={host.sys}"
    done = ansible(tmp_path, "ansible", "localhost", *LOCAL, "-m", "so1_facts", "-a", arguments)
    assert done.returncode == 0, done.stderr
    heading, _, body = done.stdout.partition(" => ")
    assert heading == "localhost | SUCCESS"
    result = json.loads(body)
    assert result["changed"] is False
    assert result["ansible_facts"]["so1"] == host.facts(top=5, sort="cpu")


def test_ad_hoc_on_a_host_without_the_modules(host: Host, tmp_path: Path) -> None:
    host.unload("sysinfo")
    arguments = f"proc_root={host.proc} sys_root={host.sys}"
    done = ansible(tmp_path, "ansible", "localhost", *LOCAL, "-m", "so1_facts", "-a", arguments)
    assert done.returncode == 2
    assert "The kernel module sysinfo is not loaded: run `ansible-playbook site.yml" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_the_examples_run_in_check_mode_too(host: Host, tmp_path: Path) -> None:
    tasks = [
        {key: value for key, value in task.items() if key != "become"}
        for task in yaml.safe_load(so1_facts.EXAMPLES)
    ]
    name = "{{ ansible_facts.so1.processes | map(attribute='name') | select('search', '7.7') }}"
    host.fill_the_wastebasket()
    roots = {"proc_root": host.proc, "sys_root": host.sys, "database": host.database}
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "module_defaults": {
            "so1_facts": {key: str(value) for key, value in roots.items()},
        },
        "tasks": [
            *tasks,
            {"so1_facts": {"top": 0}},
            # A process may call itself {{ 7*7 }}; that must stay a name.
            {
                "ansible.builtin.assert": {
                    "that": "found == ['{' ~ '{ 7*7 }' ~ '}']",
                    "quiet": True,
                },
                "vars": {"found": name},
            },
        ],
    }
    playbook = tmp_path / "play.yml"
    playbook.write_text(json.dumps([play]))
    for mode in ([], ["--check"]):
        done = ansible(tmp_path, "ansible-playbook", *LOCAL, *mode, str(playbook))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "KiB are used." in done.stdout
        assert "changed=0" in done.stdout


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Give the documentation as ansible-doc understands it."""
    return documentation(tmp_path_factory.mktemp("doc"), "so1_facts")


def test_ansible_doc_renders(tmp_path: Path) -> None:
    done = ansible(tmp_path, "ansible-doc", "-t", "module", "so1_facts")
    assert (done.returncode, done.stderr) == (0, "")
    for heading in ("OPTIONS", "ATTRIBUTES:", "NOTES:", "EXAMPLES:", "RETURN VALUES:"):
        assert heading in done.stdout
    assert "check_mode:" in done.stdout


def test_the_options_are_the_documented_ones(
    documented: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = taken_options(so1_facts, monkeypatch)
    assert taken["supports_check_mode"] is True
    assert documented["doc"]["attributes"]["check_mode"]["support"] == "full"
    assert documented_options(documented) == taken["argument_spec"]


def test_every_returned_key_is_documented_with_a_sample(
    host: Host, documented: dict[str, Any]
) -> None:
    host.fill_the_wastebasket()
    facts = {"so1": host.facts(top=0)}
    assert set(facts["so1"]) >= {"wastebasket", "memory_limits"}
    assert undocumented(facts, documented["return"]["ansible_facts"], "ansible_facts") == []


def test_the_module_runs_on_old_hosts_that_have_nothing_installed() -> None:
    assert foreign_imports("so1_facts") == {"ansible.module_utils.basic"}
