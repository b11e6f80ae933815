# SPDX-License-Identifier: MIT
"""`so1 limit` where the kernel has no limiter; with one it is tested on real machines."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from click import BadParameter, ClickException
from click.testing import Result

from so1.commands.limit import Size, _targets
from so1.memory_limiter import LIMIT_MAX, Limiter, LimiterError

So1 = Callable[..., Result]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("4096", 4096),
        ("512M", 512 << 20),
        ("2g", 2 << 30),
        ("1KiB", 1024),
        ("3MB", 3 << 20),
        (str(LIMIT_MAX), LIMIT_MAX),
    ],
)
def test_sizes_are_bytes_or_powers_of_1024(text: str, size: int) -> None:
    assert Size().convert(text, None, None) == size


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "M", "1.5G", "1e9", "12Q", str(LIMIT_MAX + 1), "16777216T", "9" * 30]
)
def test_what_is_no_size_is_named(text: str) -> None:
    with pytest.raises(BadParameter, match="not a size"):
        Size().convert(text, None, None)


@pytest.mark.parametrize(
    "arguments", [["list"], ["add", "1", "--limit", "1G"], ["run", "--limit", "1G", "--", "true"]]
)
def test_without_a_limiter_it_says_what_to_load(so1: So1, arguments: list[str]) -> None:
    result = so1("limit", *arguments)
    assert result.exit_code == 1
    assert "load so2_memlimit" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [["add"], ["add", "1"], ["add", "--limit", "1G"], ["run"]])
def test_wrong_usage_ends_with_2(so1: So1, arguments: list[str]) -> None:
    assert so1("limit", *arguments).exit_code == 2


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make processes 100, 101, … of these names."""

    def make(*given: bytes) -> None:
        for pid, name in enumerate(given, 100):
            (tmp_path / str(pid)).mkdir()
            (tmp_path / str(pid) / "comm").write_bytes(name + b"\n")

    monkeypatch.setattr("so1.commands.limit._PROC", tmp_path)
    return make


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("web", [100]),
        ("a\\b", [101]),  # as it is
        ("a\\\\b", [101]),  # as it is printed
        ("\\xff", [102]),
        ("\udcff", [102]),
        ("e\\x1b[m", [103]),
        ("e\x1b[m", [103]),
        ("ñandú", [104]),
        ("a-name-of-fifteen-and-more", [105]),
        ("a-name-of-fifte", [105]),
        ("a-name-of-fift", []),
        ("we", []),
    ],
)
def test_a_name_may_be_typed_as_it_is_or_as_it_is_printed(
    names: Callable[..., None], typed: str, found: list[int]
) -> None:
    names(b"web", b"a\\b", b"\xff", b"e\x1b[m", "ñandú".encode(), b"a-name-of-fifte")
    if found:
        assert _targets(None, typed) == found
    else:
        with pytest.raises(ClickException, match="no process is called"):
            _targets(None, typed)


def test_that_a_name_was_cut_is_said(
    names: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    names(b"a-name-of-fifte")
    _targets(None, "a-name-of-fifte")
    assert capsys.readouterr().err == ""
    _targets(None, "a-name-of-fifteen")
    said = "the kernel keeps 15 bytes of a name: a-name-of-fifte\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("pid", [1 << 31, (1 << 32) + 1, -(1 << 32) + 1])
def test_a_pid_that_does_not_fit_is_not_taken_for_another(tmp_path: Path, pid: int) -> None:
    device = tmp_path / "so2_memlimit"
    device.touch()  # which answers every ioctl with ENOTTY
    limiter = Limiter(device, tmp_path / "list")
    acts: tuple[Callable[[], object], ...] = (
        lambda: limiter.add(pid, 1 << 30),
        lambda: limiter.update(pid, 1 << 30),
        lambda: limiter.remove(pid),
    )
    for act in acts:
        with pytest.raises(LimiterError, match="there is no process") as caught:
            act()
        assert caught.value.code == errno.ESRCH
    with pytest.raises(LimiterError, match="Inappropriate ioctl"):
        limiter.remove((1 << 31) - 1)
