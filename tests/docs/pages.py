# SPDX-License-Identifier: MIT
"""What the tests of the documentation take out of its pages."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^ *```\w*\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def pages() -> list[Path]:
    """Every page of the project; beneath benchmarks/ are only templates of pages."""
    kept = {".venv", ".cache", ".git", "node_modules", "benchmarks"}
    return sorted(
        path for path in ROOT.rglob("*.md") if not kept & set(path.relative_to(ROOT).parts)
    )


def blocks(text: str) -> list[str]:
    """Its fenced blocks."""
    return _FENCE.findall(text)


def without_blocks(text: str) -> str:
    """All but its fenced blocks."""
    return _FENCE.sub("", text)


def section(text: str, title: str) -> str:
    """What stands under a heading, to the next one; fenced blocks left out."""
    _, heading, after = without_blocks(text).partition(f"\n{title}\n")
    assert heading, f"no {title}"
    return re.split("^#", after, maxsplit=1, flags=re.MULTILINE)[0]


def commands(text: str) -> list[str]:
    """The lines of its fenced blocks, without comments and indentation."""
    lines = (line for block in blocks(text) for line in block.splitlines())
    bare = (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines)
    return [line for line in bare if line]


def headings(text: str) -> list[int]:
    """The level of each heading."""
    return [len(found) for found in re.findall(r"^(#+) ", without_blocks(text), re.MULTILINE)]


def links(text: str) -> list[str]:
    """Where it points to within the project, without anchors."""
    targets = (target.partition("#")[0] for target in _LINK.findall(without_blocks(text)))
    return [target for target in targets if target and "://" not in target]


def code(text: str) -> set[str]:
    """What it sets in code, each by itself."""
    return set(re.findall(r"`([^`\n]+)`", without_blocks(text)))


def rows(text: str) -> list[list[str]]:
    """The cells of each row of its tables."""
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        for line in without_blocks(text).splitlines()
        if line.startswith("|")
    ]
