# SPDX-License-Identifier: MIT
from so1.daemon.conditions import Conditions
from so1.daemon.outbox import Outbox


class Told(Conditions):
    """Conditions whose outbox can be looked into."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        super().__init__(self.outbox, lambda: 0.0)


def told(conditions: Told) -> list[str]:
    with conditions.outbox.sending() as events:
        found = [event.detail for event in events]
    for event in events:
        conditions.outbox.put(event)
    return found


def test_a_trouble_is_told_once_for_each_reason() -> None:
    conditions = Told()
    for reason in ("No route.", "No route.", "Refused.", "No route.", "Refused."):
        conditions.begins("docker", reason)
    assert told(conditions) == ["No route.", "Refused."]
    assert conditions.current == ["Refused."]
    conditions.over("docker", "It answers.")
    conditions.over("docker", "It answers.")
    conditions.begins("docker", "No route.")
    assert told(conditions)[2:] == ["It answers.", "No route."]


def test_numbers_make_no_other_reason() -> None:
    conditions = Told()
    for number in range(5):
        conditions.begins("docker", f"<Connection at 0x7f{number}a>: no answer in {number} s.")
    assert len(told(conditions)) == 1
    assert conditions.current == ["<Connection at 0x7f4a>: no answer in 4 s."]


def test_a_reason_that_changes_for_ever_is_not_told_for_ever() -> None:
    conditions = Told()
    for letter in range(1_000):
        conditions.begins("docker", chr(0x4E00 + letter))
    assert 2 < len(told(conditions)) < 100
