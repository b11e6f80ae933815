# SPDX-License-Identifier: MIT
"""Names that others chose, made safe to print."""


def escape_controls(name: str) -> str:
    r"""Write what is not printable as an escape, so that no name can steer a terminal.

    Control characters, separators and marks that turn the direction of writing become \xNN, \uNNNN
    or \UNNNNNNNN; all else stays.
    """
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else _escape(c) for c in name)


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
