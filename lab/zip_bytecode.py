# SPDX-License-Identifier: MIT
# It runs before every program, so it imports only what is loaded by then.
# ruff: noqa: PTH104, PTH123
"""On the lab VM: keeps the bytecode of what Python imports from zip files, as of other files.

Ansible brings each of its modules as a zip, and an emulated CPU would take a second of each task
to compile what it compiled for the task before. A file that cannot be read or written is as good
as none: then it is compiled.
"""

import _imp
import marshal
import os
import zipimport
from _frozen_importlib_external import MAGIC_NUMBER
from types import CodeType

DIRECTORY = "/var/cache/zip-bytecode"
"""Root's alone: what is in it is run."""

compile_source = zipimport._compile_source  # type: ignore[attr-defined]


def kept(path: str, source: bytes) -> CodeType:
    """Return the code of this source, kept under the hash of it and of Python's version."""
    name = _imp.source_hash(int.from_bytes(MAGIC_NUMBER, "little"), source).hex()
    file = f"{DIRECTORY}/{name}"
    try:
        with open(file, "rb") as stream:
            code: CodeType = marshal.load(stream)
        _imp._fix_co_filename(code, path)  # type: ignore[attr-defined]
    except (OSError, EOFError, ValueError, TypeError):
        code = compile_source(path, source)
        part = f"{file}.{os.getpid()}"
        try:
            with open(part, "xb") as stream:
                marshal.dump(code, stream)
            os.rename(part, file)
        except OSError:
            pass
    return code


zipimport._compile_source = kept  # type: ignore[attr-defined]
