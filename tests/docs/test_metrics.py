# SPDX-License-Identifier: MIT
"""Every metric and every alert is in docs/fleet.md, and none that is not there."""

from __future__ import annotations

import re

from so1.exposition.families import Families
from tests.docs.pages import ROOT, code, rows, section
from tests.so1.exposition.samples import container, told
from tests.so1.processes import typed

PAGE = (ROOT / "docs/fleet.md").read_text()
ID = "ab" * 32


def expanded(name: str) -> set[str]:
    """`a_{b,c}_d` is a_b_d and a_c_d."""
    before, brace, rest = name.partition("{")
    if not brace:
        return {name}
    choices, _, after = rest.partition("}")
    return {whole for one in choices.split(",") for whole in expanded(before + one + after)}


def described() -> set[str]:
    """The names in the table of metrics."""
    names = {
        name
        for row in rows(section(PAGE, "## Metrics"))
        for name in code(row[0])
        if name.startswith(("so1_", "process_"))
    }
    return {whole for name in names for whole in expanded(name)}


def produced() -> set[str]:
    """The names that a scrape has of a host where everything is known."""
    told_ = told([typed(1, container_id=ID)], [container(ID)], docker_age=1.0)
    return {
        family.name + ("_total" if family.type == "counter" else "")
        for family in Families().collect(told_.sample, told_.own)
    }


def test_every_metric_is_described_and_no_other() -> None:
    own = {name for name in produced() if name.startswith("process_")}
    assert own
    assert "process_*" in described()
    assert described() - {"process_*"} == produced() - own


def test_no_metric_is_left_out_because_the_sample_did_not_show_it() -> None:
    named = {
        name
        for path in (ROOT / "python/src/so1/exposition").glob("*.py")
        for name in re.findall(r'"(so1_[a-z_]+)"', path.read_text())
    }
    assert "so1_docker_age_seconds" in named
    assert {name for name in named if not {name, name + "_total"} & described()} == set()


def test_every_alert_is_described_and_no_other() -> None:
    rules = (ROOT / "prometheus/so1.rules.yml").read_text()
    alerts = set(re.findall(r"^ *- alert: (\w+)$", rules, re.MULTILINE))
    assert "So1DockerDown" in alerts
    described_ = {name for row in rows(section(PAGE, "## Alerts")) for name in code(row[0])}
    assert described_ == alerts
