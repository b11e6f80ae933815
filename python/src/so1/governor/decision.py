# SPDX-License-Identifier: MIT
"""All that one decision of the governor stands on.

The daemon decides by it, and `so1 replay` decides by it again: what is not in here decides nothing.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from so1.config import Policy
from so1.governor.policy import Plan, plan
from so1.model import ContainerUsage


class Decision(msgspec.Struct, frozen=True):
    """The containers as they were looked at last, the policy, and what is known from before.

    For `unfinished` and `held` see policy.plan.
    """

    usages: Sequence[ContainerUsage]
    policy: Policy
    taken_ns: int
    unfinished: bool = False
    held: Mapping[str, str] = {}

    def plan(self) -> Plan:
        """Decide."""
        return plan(
            self.usages,
            self.policy,
            self.taken_ns,
            unfinished=self.unfinished,
            held=self.held,
        )


Note = Callable[[Decision, Plan], None]
"""Takes down what was decided, and upon what."""
