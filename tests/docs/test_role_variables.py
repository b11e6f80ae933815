# SPDX-License-Identifier: MIT
"""Each role's README has the role's variables, all of them and no others, with their defaults."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
import yaml

from so1.config import Config
from tests.docs.pages import ROOT, rows
from tests.support.plays import defaults

ROLES = sorted(path.parent.name for path in ROOT.glob("roles/*/README.md"))


@dataclass(frozen=True)
class Described:
    """A variable in a README's table: what stands for its default and its range."""

    default: str
    bounds: tuple[float, float] | None


@functools.cache
def specified(role: str) -> dict[str, dict[str, Any]]:
    """The variables of all entry points."""
    specs = yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())
    return {
        name: option
        for entry in specs["argument_specs"].values()
        for name, option in (entry.get("options") or {}).items()
    }


@functools.cache
def described(role: str) -> dict[str, Described]:
    """The variables in the tables of its README; `…_low` after `x_high` is `x_low`."""
    found: dict[str, Described] = {}
    header: list[str] = []
    for row in rows((ROOT / f"roles/{role}/README.md").read_text()):
        if not row[0].startswith("`"):
            header = row if row[0].strip("-") else header
            continue
        if header[:2] != ["variable", "default"]:
            continue
        names: list[str] = []
        for name in re.findall("`([^`]+)`", row[0]):
            names.append(_whole(name, names, set(specified(role))))
        values = row[1].split(", ")
        values = values if len(values) == len(names) > 1 else [row[1]] * len(names)
        numbers = re.search("([0-9]+)\u2013([0-9]+)", row[2]) if "range" in header else None
        bounds = (float(numbers[1]), float(numbers[2])) if numbers else None
        for name, value in zip(names, values, strict=True):
            of_port = bounds if "port " not in row[2] or name.endswith("_port") else None
            found[name] = Described(value.replace("`", ""), of_port)
    return found


def _whole(name: str, before: list[str], known: set[str]) -> str:
    if not name.startswith("…"):
        return name
    stem = before[0]
    while stem:
        stem = stem.rpartition("_")[0]
        if stem + name[1:] in known:
            return stem + name[1:]
    return name


def as_written(value: Any) -> str:
    """Write a default as the READMEs do."""
    if value in ("", []) or value == {}:
        return {"": "", "[]": "[]", "{}": "{}"}[str(value)]
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        each = [" ".join(one) if isinstance(one, list) else one for one in value]
        return ("; " if isinstance(value[0], list) else " ").join(each)
    return str(value)


def test_there_are_roles() -> None:
    assert "so1_daemon" in ROLES
    assert len(ROLES) == len(list(ROOT.glob("roles/*/meta/argument_specs.yml")))


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_is_described_and_no_other(role: str) -> None:
    assert set(described(role)) == set(specified(role))


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_has_a_default_that_is_described(role: str) -> None:
    shown = described(role)
    wrong = {}
    for name, value in defaults(role).items():
        if isinstance(value, str) and "{{" in value:
            # What it comes to is told in words.
            told = shown[name].default != ""
        else:
            told = shown[name].default == as_written(value)
        if not told:
            wrong[name] = (shown[name].default, as_written(value))
    assert wrong == {}
    assert set(defaults(role)) == set(specified(role))


@pytest.mark.parametrize("role", ROLES)
def test_the_specification_has_the_same_defaults(role: str) -> None:
    given = defaults(role)
    literal = {
        name: option["default"]
        for name, option in specified(role).items()
        if "default" in option and not (isinstance(given[name], str) and "{{" in given[name])
    }
    assert literal == {name: given[name] for name in literal}


def daemon_keys() -> dict[str, tuple[str, ...]]:
    """Which key of config.toml each variable of the role sets, by the role's template."""
    found: dict[str, tuple[str, ...]] = {}
    section: tuple[str, ...] = ()
    template = (ROOT / "roles/so1_daemon/templates/config.toml.j2").read_text()
    for line in template.splitlines():
        if header := re.fullmatch(r"\[([a-z.]+)\]", line):
            section = tuple(header[1].split("."))
        elif key := re.match(r"([a-z_]+) = \{\{ (so1_daemon_\w+)[ |}]", line):
            found[key[2]] = (*section, key[1])
    return found


def field(path: tuple[str, ...]) -> tuple[Any, Any]:
    """The default and the type of a key of the daemon's configuration."""
    value: Any = Config()
    for name in path:
        owner, value = value, getattr(value, name)
    kind = msgspec.inspect.type_info(type(owner))
    assert isinstance(kind, msgspec.inspect.StructType)
    return value, next(each.type for each in kind.fields if each.name == path[-1])


KEYS = daemon_keys()


def test_the_template_sets_what_the_daemon_knows() -> None:
    assert len(KEYS) > 15


@pytest.mark.parametrize("variable", KEYS)
def test_the_daemon_s_own_default_is_the_role_s(variable: str) -> None:
    given = defaults("so1_daemon")[variable]
    own, _ = field(KEYS[variable])
    if isinstance(given, str) and "{{" in given:
        assert str(own) in given
    else:
        assert own == given


@pytest.mark.parametrize("variable", KEYS)
def test_the_range_described_is_one_that_the_daemon_takes(variable: str) -> None:
    bounds = described("so1_daemon")[variable].bounds
    _, kind = field(KEYS[variable])
    highest = getattr(kind, "le", None)
    lowest = getattr(kind, "ge", None)
    least = lowest if lowest is not None else getattr(kind, "gt", None)
    assert (bounds is None) == (highest is None)
    if bounds is not None:
        assert bounds[1] == highest
        assert least is not None
        assert bounds[0] >= least


def daemon_configuration() -> set[tuple[str, ...]]:
    """Every key that config.toml may have."""

    def walk(section: Any, path: tuple[str, ...]) -> set[tuple[str, ...]]:
        found: set[tuple[str, ...]] = set()
        for name in section.__struct_fields__:
            value = getattr(section, name)
            inner = isinstance(value, msgspec.Struct)
            found |= walk(value, (*path, name)) if inner else {(*path, name)}
        return found

    return walk(Config(), ())


def test_the_template_writes_every_key_of_the_daemon_and_no_other() -> None:
    template = (ROOT / "roles/so1_daemon/templates/config.toml.j2").read_text()
    loop = re.search(r"\[workload\]\n\{% for name in (\[.*?\]) %\}", template)
    assert loop
    others: set[tuple[str, ...]] = {("workload", name) for name in yaml.safe_load(loop[1])}
    # The users are a table of their own; where the database is follows from where all state is.
    assert "[metrics.users]" in template
    assert 'path = "{{ so1_daemon_state }}/metrics.db"' in template
    others |= {("metrics", "users"), ("store", "path"), ("notify", "webhook", "secret")}
    assert set(KEYS.values()) | others == daemon_configuration()


def checked(role: str) -> dict[str, tuple[float, float]]:
    """The ranges that a role refuses all else of."""
    path = ROOT / f"roles/{role}/tasks/check.yml"
    if not path.exists():
        return {}
    return {
        f"{role}_{each['name']}": (each["low"], each["high"])
        for task in yaml.safe_load(path.read_text())
        for each in task.get("loop", ())
        if isinstance(each, dict) and {"low", "high"} <= set(each)
    }


WITH_RANGES = [role for role in ROLES if any(one.bounds for one in described(role).values())]


def test_there_are_ranges() -> None:
    assert "so1_daemon" in WITH_RANGES


@pytest.mark.parametrize("role", WITH_RANGES)
def test_the_range_described_is_the_one_that_the_role_checks(role: str) -> None:
    shown = {name: one.bounds for name, one in described(role).items() if one.bounds}
    assert shown == checked(role)
