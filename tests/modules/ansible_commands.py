# SPDX-License-Identifier: MIT
"""Ansible's own commands, and a module's documentation against what the module is."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import ModuleType

BIN = Path(sys.executable).parent
LIBRARY = Path(__file__).resolve().parents[2] / "library"


def ansible(directory: Path, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of Ansible with no configuration but these modules."""
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


def run_module(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Run a module as Ansible does, in a process of its own; return the JSON it prints.

    It must exit with 0 or 1 and write nothing to stderr: a traceback fails the test.
    """
    done = subprocess.run(
        [sys.executable, str(LIBRARY / f"{name}.py")],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": options}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert "Traceback" not in done.stdout
    result: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (1 if result.get("failed") else 0)
    return result


LOCAL = ("-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}")


def documentation(directory: Path, name: str) -> dict[str, Any]:
    """Return a module's documentation as ansible-doc understands it."""
    done = ansible(directory, "ansible-doc", "-t", "module", "--json", name)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)[name]
    return result


def documented_options(documented: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a documentation as an argument_spec has them."""
    return {
        name: {key: value for key, value in option.items() if key != "description"}
        for name, option in documented["doc"]["options"].items()
    }


def taken_options(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return what a module gives AnsibleModule: argument_spec and the rest."""
    taken: dict[str, Any] = {}

    class StopError(Exception):
        """The options are known; nothing need be run."""

    def take(**arguments: Any) -> None:
        taken.update(arguments)
        raise StopError

    monkeypatch.setattr(module, "AnsibleModule", take)
    with pytest.raises(StopError):
        module.main()
    return taken


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


def foreign_imports(name: str) -> set[str]:
    """Return what a module imports that is not Python's; it must be syntax of Python 3.7."""
    text = (LIBRARY / f"{name}.py").read_text()
    imported = set()
    for node in ast.walk(ast.parse(text, feature_version=(3, 7))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    return imported - sys.stdlib_module_names
