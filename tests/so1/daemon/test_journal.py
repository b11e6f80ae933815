# SPDX-License-Identifier: MIT
import logging
from collections.abc import Iterator

import pytest

from so1.daemon import journal


@pytest.fixture(autouse=True)
def _root() -> Iterator[None]:
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = kept, level


def test_every_line_has_its_level(capsys: pytest.CaptureFixture[str]) -> None:
    journal.configure("debug", {"JOURNAL_STREAM": "8:1"})
    log = logging.getLogger("so1.test")
    log.debug("d")
    log.info("i")
    log.warning("two\nlines")
    log.error("e")
    assert capsys.readouterr().err == "<7>d\n<6>i\n<4>two\n<4>lines\n<3>e\n"


def test_levels_below_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    journal.configure("warning", {})
    logging.getLogger("so1.test").info("i")
    logging.getLogger("so1.test").warning("w")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("WARNING w")
