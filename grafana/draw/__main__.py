# SPDX-License-Identifier: MIT
"""Write a picture of every scene, or of those named, to a folder."""

import argparse
import tempfile
from pathlib import Path

from draw.browser import Browser
from draw.faults import faults
from draw.scenes import FILLED, SCENES, sources


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(prog="python -m draw", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("pictures"), help="the folder")
    parser.add_argument("--width", type=int, default=1920, help="of the screen, in pixels")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    parser.add_argument("scenes", nargs="*", help=", ".join(scene.name for scene in SCENES))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sources(Path(folder)) as shown, Browser() as page:
        for scene in SCENES:
            if options.scenes and scene.name not in options.scenes:
                continue
            found = page.draw(shown.shown(scene, options.theme), options.width)
            path = options.out / f"{scene.name}-{options.width}-{options.theme}.png"
            path.write_bytes(page.picture())
            wrong = faults(found, filled=scene.name in FILLED)
            print(path, *wrong, sep="\n    ")  # noqa: T201 - what it is called for


main()
