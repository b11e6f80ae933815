# SPDX-License-Identifier: MIT
"""The terminal: paints lines, reads keys. curses sends only what has changed: nothing flickers."""

import contextlib
import curses
import locale
import os
import signal
import sys

import click

from so1.live.source import Source
from so1.live.table import Line, Style
from so1.live.view import View

_LOOK_MS = 100
"""How long a key is waited for before a new sample is looked for."""
_ESCAPE_MS = 25
"""How long after Esc the rest of another key's sequence may come."""
_TERMINATED = 128 + signal.SIGTERM
_NAMES = {
    curses.KEY_UP: "up",
    curses.KEY_DOWN: "down",
    curses.KEY_LEFT: "left",
    curses.KEY_RIGHT: "right",
    curses.KEY_PPAGE: "pageup",
    curses.KEY_NPAGE: "pagedown",
    curses.KEY_HOME: "home",
    curses.KEY_END: "end",
    curses.KEY_ENTER: "enter",
    curses.KEY_BACKSPACE: "backspace",
    curses.KEY_RESIZE: "resize",
}
_CHARACTERS = {
    "\n": "enter",
    "\r": "enter",
    "\x1b": "escape",
    "\x7f": "backspace",
    "\b": "backspace",
}


def watch(view: View, source: Source) -> None:
    """Show the view until it ends; the terminal is then as it was before.

    Raises click.UsageError where the terminal cannot be drawn on.
    """
    locale.setlocale(locale.LC_ALL, "")
    _check_terminal()
    curses.set_escdelay(_ESCAPE_MS)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    try:
        curses.wrapper(_Screen(view, source).run)
    finally:
        signal.signal(signal.SIGTERM, before)


def _check_terminal() -> None:
    name = os.environ.get("TERM", "")
    try:
        curses.setupterm()
        able = curses.tigetstr("cup") is not None
    except curses.error:
        able = False
    if not able:
        raise click.UsageError(
            f"nothing is known of a terminal TERM={name} that could be drawn on; use --once,"
            " or set TERM to what it is like, such as xterm"
        )


class _Screen:
    def __init__(self, view: View, source: Source) -> None:
        self._view = view
        self._source = source
        self._styles: dict[Style, int] = {}
        self._unicode = True

    def run(self, window: "curses.window") -> None:
        """Paint, wait for a key or a new sample, and again."""
        self._styles = _styles()
        self._unicode = locale.nl_langinfo(locale.CODESET) == "UTF-8"
        with contextlib.suppress(curses.error):  # a terminal that cannot hide its cursor
            curses.curs_set(0)
        window.keypad(True)  # noqa: FBT003 - curses has no keywords
        window.timeout(_LOOK_MS)
        view = self._view
        painted = True
        while not view.ended:
            newest = self._source.newest()
            if painted or newest is not view.shown:
                view.shown = newest
                self._paint(window)
            key = _key(window)
            painted = bool(key)
            if key and key != "resize":
                view.press(key)

    def _paint(self, window: "curses.window") -> None:
        height, width = window.getmaxyx()
        lines, chosen = self._view.lines(width, height)
        window.erase()
        for y, spans in enumerate(lines):
            extra = curses.A_REVERSE if y == chosen else 0
            if extra:
                window.chgat(y, 0, -1, extra)
            self._write(window, y, spans, extra)
        window.refresh()

    def _write(self, window: "curses.window", y: int, spans: Line, extra: int) -> None:
        # The cursor cannot go on after the last cell of the last line; the cell is written.
        with contextlib.suppress(curses.error):
            window.move(y, 0)
            for text, style in spans:
                window.addstr(text if self._unicode else _ascii(text), self._styles[style] | extra)


def _key(window: "curses.window") -> str:
    """Wait a moment for a key; '' where none came."""
    try:
        pressed = window.get_wch()
    except curses.error:
        return ""
    if isinstance(pressed, int):
        return _NAMES.get(pressed, "other")
    return _CHARACTERS.get(pressed, pressed)


def _styles() -> dict[Style, int]:
    plain: dict[Style, int] = {
        "calm": curses.A_NORMAL,
        "warning": curses.A_BOLD,
        "bad": curses.A_BOLD | curses.A_UNDERLINE,
        "dim": curses.A_DIM,
        "title": curses.A_BOLD,
        "sorted": curses.A_BOLD | curses.A_UNDERLINE,
    }
    if os.environ.get("NO_COLOR") or not curses.has_colors():
        return plain
    curses.use_default_colors()
    curses.init_pair(1, curses.COLOR_YELLOW, -1)
    curses.init_pair(2, curses.COLOR_RED, -1)
    return plain | {
        "warning": curses.color_pair(1),
        "bad": curses.color_pair(2) | curses.A_BOLD,
    }


def _ascii(text: str) -> str:
    return (
        text.replace("…", "~")
        .replace("«", '"')
        .replace("»", '"')
        .encode("ascii", "replace")
        .decode()
    )
