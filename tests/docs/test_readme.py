# SPDX-License-Identifier: MIT
"""README.md and LEEME.md say the same, and every page points to what is there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import ROOT, code, commands, headings, links, pages, rows

if TYPE_CHECKING:
    from pathlib import Path

ENGLISH = (ROOT / "README.md").read_text()
SPANISH = (ROOT / "LEEME.md").read_text()


def test_both_show_the_same_commands_and_output() -> None:
    assert "ansible-playbook -i inventory/mine site.yml" in commands(ENGLISH)
    assert "make look" in commands(ENGLISH)
    assert commands(SPANISH) == commands(ENGLISH)


def test_both_have_the_same_sections() -> None:
    assert len(headings(ENGLISH)) > 5
    assert headings(SPANISH) == headings(ENGLISH)


def test_both_point_to_the_same_pages() -> None:
    other = {"README.md": "LEEME.md", "LEEME.md": "README.md"}
    assert [other.get(link, link) for link in links(SPANISH)] == links(ENGLISH)


@pytest.mark.parametrize("text", [ENGLISH, SPANISH])
def test_the_first_screen_has_the_commands_and_a_picture_that_loads_fast(text: str) -> None:
    first, _, _ = text.partition("\n## ")
    shown, _, _ = first.partition("![")
    assert re.findall(r"^make [a-z]+", shown, re.MULTILINE) == ["make look", "make up", "make test"]
    (picture,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", first)
    assert (ROOT / picture).read_bytes().startswith(b"\x89PNG")
    assert (ROOT / picture).stat().st_size < 200_000
    # Whoever compares it with a Grafana must know what drew it.
    assert "`make draw`" in first


def test_both_name_the_same_files_variables_and_defaults() -> None:
    # In Spanish the names of the two classes are foreign words.
    assert code(SPANISH) - {"low", "high"} == code(ENGLISH)
    table = [row[:2] for row in rows(ENGLISH)[1:] if row[0].startswith("`")]
    assert len(table) > 5
    assert [row[:2] for row in rows(SPANISH)[1:] if row[0].startswith("`")] == table


def test_the_readme_points_to_every_role() -> None:
    roles = {str(path.relative_to(ROOT)) for path in ROOT.glob("roles/*/README.md")}
    assert {link for link in links(ENGLISH) if link.startswith("roles/")} == roles


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    missing = [link for link in links(page.read_text()) if not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", ["README.md", "LEEME.md", "CONTRIBUTING.md", "docs/testing.md"])
def test_every_target_of_make_that_is_named_is_there(page: str) -> None:
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = (ROOT / page).read_text()
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))
    assert named
    assert named - made == set()
