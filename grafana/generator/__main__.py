# SPDX-License-Identifier: MIT
"""Write the dashboards to the folder given, `dashboards` without one."""

import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from generator.containers import containers
from generator.fleet import fleet
from generator.system import system


def main() -> None:
    """Write a file for each dashboard."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "dashboards")
    for name, build in (("system", system), ("containers", containers), ("fleet", fleet)):
        text = JSONEncoder(sort_keys=True, indent=2).encode(build())
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


main()
