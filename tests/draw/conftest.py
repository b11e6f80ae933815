# SPDX-License-Identifier: MIT
"""A browser, and what it draws, once for all tests."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from draw.browser import Browser
from draw.scenes import Scene, Sources, sources

Draw = Callable[[Scene, int], dict[str, Any]]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with Browser() as started:
        yield started


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sources]:
    with sources(tmp_path_factory.mktemp("scenes")) as ready:
        yield ready


@pytest.fixture(scope="session")
def drawn(browser: Browser, made: Sources) -> Draw:
    """What is found on a scene on a screen of a width."""

    @functools.cache
    def draw(scene: Scene, width: int) -> dict[str, Any]:
        return browser.draw(made.shown(scene, "dark"), width)

    return draw
