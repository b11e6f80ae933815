# SPDX-License-Identifier: MIT
"""The map of folders shows the folders there are."""

from __future__ import annotations

from scripts import suites
from tests.docs.pages import ROOT, code, rows, section

PAGE = (ROOT / "docs/architecture.md").read_text()
MAP = section(PAGE, "## The folders")
NAMED = {row[0].strip("`") for row in rows(MAP) if row[0].startswith("`")}
TOP = {name.partition("/")[0] + "/" for name in suites.tracked() if "/" in name}


def test_every_folder_in_the_map_is_there() -> None:
    assert "tests/docs/" in NAMED
    assert [name for name in NAMED if not (name.endswith("/") and (ROOT / name).is_dir())] == []


def test_every_top_level_folder_is_in_the_map() -> None:
    assert {name.partition("/")[0] + "/" for name in NAMED} == TOP


def test_every_file_that_the_page_names_would_be_in_a_folder_there_is() -> None:
    paths = {span for span in code(PAGE) if any(span.startswith(top) for top in TOP)}
    assert "python/src/so1/store/rows.py" in paths
    folders = {path.rpartition("/")[0] for path in paths}
    assert [name for name in folders if not (ROOT / name).is_dir()] == []
