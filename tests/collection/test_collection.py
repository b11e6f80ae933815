# SPDX-License-Identifier: MIT
"""The collection has everything in it, under its full names, and needs no clone."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from scripts import collection, suites
from so1 import __version__
from tests.docs.pages import blocks
from tests.support.plays import REPOSITORY

if TYPE_CHECKING:
    from tests.collection.conftest import Installed

MODULES = sorted(path.stem for path in REPOSITORY.glob("library/*.py"))
ROLES = sorted(path.parents[1].name for path in REPOSITORY.glob("roles/*/meta/main.yml"))
PLAYBOOKS = sorted(path.stem for path in REPOSITORY.glob("playbooks/*.yml"))


def test_ansible_doc_lists_both_modules_and_every_role(installed: Installed) -> None:
    listed = json.loads(installed.run("ansible-doc", "--json", "-l", "so1.so1"))
    assert sorted(listed) == [f"so1.so1.{name}" for name in MODULES]
    assert len(listed) == 2
    roles = json.loads(installed.run("ansible-doc", "--json", "-t", "role", "-l", "so1.so1"))
    assert sorted(roles) == [f"so1.so1.{name}" for name in ROLES]
    assert "remove" in roles["so1.so1.so1_grafana"]["entry_points"]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_s_examples_call_it_by_its_full_name(name: str, installed: Installed) -> None:
    found = json.loads(installed.run("ansible-doc", "--json", f"so1.so1.{name}"))
    (shown,) = found.values()
    examples = yaml.safe_load(shown["examples"])
    assert f"so1.so1.{name}" in {key for task in examples for key in task}
    assert not {*MODULES} & {key for task in examples for key in task}
    others = {other["module"] for other in shown["doc"].get("seealso", []) if "module" in other}
    assert all("." in other for other in others)


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_a_playbook_runs_by_its_full_name(name: str, installed: Installed) -> None:
    listed = installed.playbook(f"so1.so1.{name}", "--list-tasks")
    assert f"{installed.root}/playbooks/{name}.yml" in listed
    # Of each role that it calls, tasks are found.
    roles = set(re.findall(r"so1\.so1\.(\w+) : ", listed))
    called = (REPOSITORY / f"playbooks/{name}.yml").read_text()
    assert roles >= {*re.findall(r"- role: (\w+)", called)}
    if name == "site":
        assert roles >= {*ROLES} - {"debian_packages"}


@pytest.mark.parametrize("role", ROLES)
def test_a_readme_has_a_playbook_that_has_no_fault(role: str, installed: Installed) -> None:
    readme = (REPOSITORY / f"roles/{role}/README.md").read_text()
    (example,) = [block for block in blocks(readme) if "roles:" in block]
    (play,) = yaml.safe_load(example)
    (entry,) = play["roles"]
    assert entry["role"] == f"so1.so1.{role}"
    specified = yaml.safe_load((REPOSITORY / f"roles/{role}/meta/argument_specs.yml").read_text())
    assert {*entry.get("vars", {})} <= {*specified["argument_specs"]["main"]["options"]}
    file = installed.folder / f"example-{role}.yml"
    file.write_text(example)
    assert f"so1.so1.{role} : " in installed.playbook(file, "--list-tasks")


def test_no_file_of_a_role_is_missing_and_none_is_a_link(installed: Installed) -> None:
    there = {str(path.relative_to(installed.root)) for path in installed.root.rglob("*")}
    of_roles = {name for name in suites.tracked() if name.startswith("roles/")}
    assert of_roles <= there
    assert not [path for path in installed.root.rglob("*") if path.is_symlink()]
    for name in of_roles:
        runs = bool((REPOSITORY / name).stat().st_mode & 0o100)
        assert bool((installed.root / name).stat().st_mode & 0o100) == runs, name
    # What ansible-test is told is all there is of tests.
    told = {name for name in there if name.startswith("tests/")}
    assert {Path(name).suffix for name in told} == {"", ".yml", ".txt"}
    parts = {part for name in there - told - {"tests"} for part in Path(name).parts}
    assert not parts & {"tests", "tests.py", "lab"}


def test_a_role_looks_for_files_nowhere_but_in_the_collection() -> None:
    """Every folder above itself that a role names is one that the collection has."""
    named = set()
    for path in REPOSITORY.glob("roles/*/*/*.yml"):
        named |= set(re.findall(r"/\.\./\.\./([\w.]+)", path.read_text()))
    assert named >= {"kernel", "python", "grafana", "prometheus"}
    placed = {place.split("/")[0] for name in suites.tracked() if (place := collection.place(name))}
    assert named <= placed


def test_the_modules_sources_are_those_of_the_clone(installed: Installed) -> None:
    asked = "{{ lookup('pipe', kernel_modules_sources ~ ' %s ' ~ kernel_modules_folders) }}"
    copies = [
        {"copy": {"content": asked % what, "dest": str(installed.folder / what)}}
        for what in ("versions", "archive")
    ]
    installed.within("kernel_modules", *copies)
    packages = ["so1-procinfo=procinfo", "so2-memlimit=memlimit"]
    script = REPOSITORY / "roles/kernel_modules/files/sources.sh"
    here = subprocess.run(
        [script, REPOSITORY / "kernel", "versions", *packages], check=True, stdout=subprocess.PIPE
    )
    assert json.loads((installed.folder / "versions").read_text()) == json.loads(here.stdout)
    archive = base64.b64decode((installed.folder / "archive").read_text())
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        names = {Path(name).name for name in tar.getnames()}
    assert names > {"sysinfo.c", "so2_core.c", "so1_document.h", "dkms.conf", "Kbuild"}


def test_the_dashboards_and_the_rules_are_found(installed: Installed) -> None:
    installed.within(
        "so1_grafana",
        {
            "template": {
                "src": "dashboard.json.j2",
                "dest": f"{installed.folder}/{{{{ item }}}}.json",
            },
            "loop": ["system", "containers", "fleet"],
        },
    )
    rules_here = {"src": "{{ so1_prometheus_rules }}", "dest": str(installed.folder / "rules")}
    installed.within("so1_prometheus", {"copy": rules_here})
    rules = (REPOSITORY / "prometheus/so1.rules.yml").read_text()
    assert (installed.folder / "rules").read_text() == rules
    for name in ("system", "containers", "fleet"):
        drawn = json.loads((installed.folder / f"{name}.json").read_text())
        assert drawn["uid"] == f"so1-{name}"


def test_the_package_is_all_there(installed: Installed) -> None:
    tree = {"content": "{{ so1_daemon_source_tree }}", "dest": str(installed.folder / "tree")}
    installed.within("so1_daemon", {"copy": tree})
    assert (installed.folder / "tree").read_text() == str(installed.root / "python")
    tracked = {name for name in suites.tracked() if name.startswith("python/src/")}
    assert all((installed.root / name).is_file() for name in tracked)
    for name in ("pyproject.toml", "README.md", "locks/daemon.txt", "locks/build.txt"):
        assert (installed.root / "python" / name).is_file()


def test_it_says_what_it_is(installed: Installed) -> None:
    info = json.loads((installed.root / "MANIFEST.json").read_text())["collection_info"]
    assert (info["namespace"], info["name"], info["version"]) == ("so1", "so1", __version__)
    (needed,) = yaml.safe_load((REPOSITORY / "requirements.yml").read_text())["collections"]
    assert info["dependencies"] == {needed["name"]: needed["version"]}
    runtime = yaml.safe_load((installed.root / "meta/runtime.yml").read_text())
    least = runtime["requires_ansible"].removeprefix(">=").removesuffix(".0")
    for role in ROLES:
        meta = yaml.safe_load((REPOSITORY / f"roles/{role}/meta/main.yml").read_text())
        assert meta["galaxy_info"]["min_ansible_version"] == least
    for name in ("README.md", "CHANGELOG.md", "SECURITY.md"):
        assert (installed.root / name).read_text().count("\n# ") == 1
