# SPDX-License-Identifier: MIT
"""Ends a run of Ansible before its task number SO1_CUT, as a controller that loses power does.

Without a number it notes in the file SO1_CUTS where that would matter: after each change.
"""

import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase  # type: ignore[import-untyped] # it has none

DOCUMENTATION = """
name: cut
type: aggregate
short_description: Ends a run before one of its tasks
description: Ends a run before one of its tasks.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc] # for that reason
    """Counts tasks, handlers among them."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "cut"

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0
        self.changed = False

    def _begin(self) -> None:
        self.begun += 1
        if self.begun == int(os.environ.get("SO1_CUT", "0")):
            os._exit(99)
        if self.changed and "SO1_CUTS" in os.environ:
            with Path(os.environ["SO1_CUTS"]).open("a") as cuts:
                cuts.write(f"{self.begun}\n")
        self.changed = False

    def v2_playbook_on_task_start(self, *_: Any, **__: Any) -> None:
        self._begin()

    def v2_playbook_on_handler_task_start(self, *_: Any, **__: Any) -> None:
        self._begin()

    def v2_runner_on_ok(self, result: Any) -> None:
        self.changed = self.changed or bool(result._result.get("changed"))
