# SPDX-License-Identifier: MIT
"""A host as so1_facts sees one: a tree captured from Debian 12, which each test may spoil."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.modules.ansible_commands import run_module

HERE = Path(__file__).resolve().parent
SUFFIX = "202300539"


@dataclass
class Host:
    """The proc and sys of one host, in a directory of its own."""

    root: Path

    @property
    def proc(self) -> Path:
        return self.root / "proc"

    @property
    def sys(self) -> Path:
        return self.root / "sys"

    @property
    def sysinfo(self) -> Path:
        return self.proc / f"sysinfo_so1_{SUFFIX}"

    @property
    def continfo(self) -> Path:
        return self.proc / f"continfo_so1_{SUFFIX}"

    @property
    def limits(self) -> Path:
        return self.proc / "so2_memory_limits"

    def unload(self, name: str) -> None:
        """Take a kernel module away, as rmmod does."""
        documents = {"sysinfo": self.sysinfo, "continfo": self.continfo}
        documents.get(name, self.limits).unlink()
        shutil.rmtree(self.sys / "module" / name)

    def run(self, **options: Any) -> dict[str, Any]:
        """Run the module on this host; return the JSON it prints."""
        roots = {"proc_root": str(self.proc), "sys_root": str(self.sys)}
        return run_module("so1_facts", roots | options)

    def facts(self, **options: Any) -> dict[str, Any]:
        """Run the module, which must succeed; return its facts."""
        result = self.run(**options)
        assert not result.get("failed"), result
        assert list(result["ansible_facts"]) == ["so1"]
        facts: dict[str, Any] = result["ansible_facts"]["so1"]
        return facts
