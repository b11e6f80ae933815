# SPDX-License-Identifier: MIT
"""A host as so1_facts sees one: a tree captured from Debian 12, which each test may spoil."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from so1.store.database import Database
from so1.store.removals import Removals
from tests.modules.ansible_commands import run_module
from tests.so1.store.removals import removal

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

    @property
    def database(self) -> Path:
        return self.root / "metrics.db"

    def unload(self, name: str) -> None:
        """Take a kernel module away, as rmmod does."""
        documents = {"sysinfo": self.sysinfo, "continfo": self.continfo}
        documents.get(name, self.limits).unlink()
        shutil.rmtree(self.sys / "module" / name)

    def fill_the_wastebasket(self) -> None:
        """Give it the daemon's database, with a container at each step of the way."""
        with contextlib.closing(Database(self.database)) as database:
            steps = ("stopping", "trashed", "trashed", "returning", "returned", "emptied")
            rows = [removal(number, step=step) for number, step in enumerate(steps)]
            journal = Removals(database)
            journal.write(rows)
            for number in (1, 4):
                journal.measured(rows[number].container_id, 4_096)

    def run(self, **options: Any) -> dict[str, Any]:
        """Run the module on this host; return the JSON it prints."""
        roots = {"proc_root": str(self.proc), "sys_root": str(self.sys)}
        roots["database"] = str(self.database)
        return run_module("so1_facts", roots | options)

    def facts(self, **options: Any) -> dict[str, Any]:
        """Run the module, which must succeed; return its facts."""
        result = self.run(**options)
        assert not result.get("failed"), result
        assert list(result["ansible_facts"]) == ["so1"]
        facts: dict[str, Any] = result["ansible_facts"]["so1"]
        return facts
