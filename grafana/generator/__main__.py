# SPDX-License-Identifier: MIT
"""Write both dashboards to the folder given, `dashboards` without one."""

import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from generator.containers import containers
from generator.system import system


def main() -> None:
    """Write system.json and containers.json."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "dashboards")
    for name, dashboard in (("system", system()), ("containers", containers())):
        text = JSONEncoder(sort_keys=True, indent=2).encode(dashboard)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


main()
