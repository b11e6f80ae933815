# SPDX-License-Identifier: MIT
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from so1 import sources
from so1.sources import kernel
from tests.so1.processes import SUFFIX, process


def test_auto_takes_the_modules_where_they_are(proc: Callable[..., Path]) -> None:
    snapshot = sources.take("auto", SUFFIX, proc([process(4)]))
    assert (snapshot.source, [p.pid for p in snapshot.processes]) == ("module", [4])


def test_auto_falls_back_to_proc() -> None:
    snapshot = sources.take("auto", "never-loaded")
    assert (snapshot.source, snapshot.passed_over) == ("procfs", None)
    assert os.getpid() in {p.pid for p in snapshot.processes}


def test_auto_falls_back_where_a_file_goes_between_look_and_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernel, "available", lambda *_: True)
    snapshot = sources.take("auto", "never-loaded")
    assert snapshot.source == "procfs"
    assert "sysinfo_so1_never-loaded cannot be read" in (snapshot.passed_over or "")


def test_module_never_falls_back() -> None:
    with pytest.raises(sources.SourceError, match="load the kernel modules"):
        sources.take("module", "never-loaded")


def test_procfs_leaves_the_modules_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "take", None)
    monkeypatch.setattr(kernel, "available", lambda *_: True)
    assert sources.take("procfs", SUFFIX).source == "procfs"
