# SPDX-License-Identifier: MIT
"""so1_facts through Ansible's own commands, and its documentation against what it does."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import so1_facts
import yaml  # type: ignore[import-untyped]  # comes with ansible-core, its types do not
from conftest import LIBRARY, Host

BIN = Path(sys.executable).parent


def ansible(directory: Path, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of Ansible with no configuration but this module."""
    configuration = directory / "ansible.cfg"
    configuration.write_text("[defaults]\n")
    environment = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
        "HOME": str(directory),
        "ANSIBLE_CONFIG": str(configuration),
        "ANSIBLE_HOME": str(directory / "ansible"),
        "ANSIBLE_LIBRARY": str(LIBRARY),
        "ANSIBLE_NOCOLOR": "1",
        "COLUMNS": "80",
    }
    return subprocess.run(
        [str(BIN / command), *arguments],
        env=environment,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


LOCAL = ("-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}")


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
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "module_defaults": {
            "so1_facts": {"proc_root": str(host.proc), "sys_root": str(host.sys)},
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
    directory = tmp_path_factory.mktemp("doc")
    done = ansible(directory, "ansible-doc", "-t", "module", "--json", "so1_facts")
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)["so1_facts"]
    return result


def test_ansible_doc_renders(tmp_path: Path) -> None:
    done = ansible(tmp_path, "ansible-doc", "-t", "module", "so1_facts")
    assert (done.returncode, done.stderr) == (0, "")
    for heading in ("OPTIONS", "ATTRIBUTES:", "NOTES:", "EXAMPLES:", "RETURN VALUES:"):
        assert heading in done.stdout
    assert "check_mode:" in done.stdout


def test_the_options_are_the_documented_ones(
    documented: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: dict[str, Any] = {}

    class StopError(Exception):
        """The options are known; nothing need be run."""

    def module(**arguments: Any) -> None:
        taken.update(arguments)
        raise StopError

    monkeypatch.setattr(so1_facts, "AnsibleModule", module)
    with pytest.raises(StopError):
        so1_facts.main()
    assert taken["supports_check_mode"] is True
    assert documented["doc"]["attributes"]["check_mode"]["support"] == "full"
    options = {
        name: {key: value for key, value in option.items() if key != "description"}
        for name, option in documented["doc"]["options"].items()
    }
    assert options == taken["argument_spec"]


def undocumented(value: object, documentation: dict[str, Any], path: str) -> list[str]:
    """Return where a value and its documentation differ in keys or types, and missing samples."""
    types = {"dict": dict, "list": list, "int": int, "str": str, "bool": bool}
    wrong = []
    if value is not None and type(value) is not types[documentation["type"]]:
        wrong.append(f"{path} is a {type(value).__name__}")
    contains = documentation.get("contains")
    if contains is None:
        return wrong if "sample" in documentation else [*wrong, f"{path} has no sample"]
    for one in value if isinstance(value, list) else [value]:
        assert isinstance(one, dict)
        wrong += [f"{path}.{key} differs" for key in set(one) ^ set(contains)]
        for key in set(one) & set(contains):
            wrong += undocumented(one[key], contains[key], f"{path}.{key}")
    return wrong


def test_every_returned_key_is_documented_with_a_sample(
    host: Host, documented: dict[str, Any]
) -> None:
    facts = {"so1": host.facts(top=0)}
    assert undocumented(facts, documented["return"]["ansible_facts"], "ansible_facts") == []


def test_the_module_runs_on_old_hosts_that_have_nothing_installed() -> None:
    text = (LIBRARY / "so1_facts.py").read_text()
    imported = set()
    for node in ast.walk(ast.parse(text, feature_version=(3, 7))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    assert imported - sys.stdlib_module_names == {"ansible.module_utils.basic"}
