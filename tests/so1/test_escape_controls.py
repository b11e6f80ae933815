# SPDX-License-Identifier: MIT
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so1.escape_controls import escape_controls


@given(st.text())
def test_nothing_that_steers_a_terminal_is_left(text: str) -> None:
    assert escape_controls(text).isprintable()


@given(st.text().filter(str.isprintable))
def test_what_can_be_printed_stays(text: str) -> None:
    assert escape_controls(text) == text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\nb", "a\\x0ab"),
        ("a\u202eb", "a\\u202eb"),
        ("\x9b", "\\x9b"),
        ("\U000e0001", "\\U000e0001"),
        ("ñandú", "ñandú"),
    ],
)
def test_examples(name: str, shown: str) -> None:
    assert escape_controls(name) == shown
