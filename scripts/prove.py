# SPDX-License-Identifier: MIT
"""make test: every suite, two at a time, the longest first; notes whole passes in proofs.json.

With SO1_UNCHANGED=skip in the environment, a suite is left out whose inputs are byte for byte those
of its last whole pass.
"""

from __future__ import annotations

import functools
import os
import sys

from scripts import suites
from scripts.stages import Runner, Stage

# What is there before a suite begins.
SETUP = [
    Stage("set-up", ["scripts/setup.sh", "tests", "venv", "binaries"]),
    Stage("image bookworm", ["lab/vm.py", "image"], after=["set-up"]),
    Stage("image trixie", ["lab/vm.py", "--suite", "trixie", "image"], after=["set-up"]),
]
NEEDS = {"default": ["image bookworm"], "fleet": ["image bookworm", "image trixie"]}


def main() -> int:
    """Run what has to run; 1 where something failed."""
    skip = os.environ.get("SO1_UNCHANGED") == "skip"
    files, before = suites.tracked(), suites.record()
    stages = []
    for name, suite in suites.SUITES.items():
        inputs = suites.fingerprint(suite.files(files))
        last = before.get(name)
        left_out = ""
        if skip and last and last["inputs"] == inputs:
            left_out = f"unchanged since it passed on {last['date']} in {last['seconds']} s"
        stages.append(
            Stage(
                name,
                ["make", "--no-print-directory", suite.target],
                after=NEEDS.get(name, ["set-up"]),
                left_out=left_out,
                passed=functools.partial(suites.passed, name, inputs),
            )
        )
    wanted = {need for stage in stages if not stage.left_out for need in stage.after}
    setup = [stage for stage in SETUP if stage.name == "set-up" or stage.name in wanted]
    return (
        0 if Runner("test", [*setup[:2], *stages[:3], *setup[2:], *stages[3:]], jobs=2).run() else 1
    )


if __name__ == "__main__":
    sys.exit(main())
