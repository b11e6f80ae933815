# SPDX-License-Identifier: MIT
from so1.conditions import Conditions


def told(conditions: Conditions) -> list[str]:
    return [event.detail for event in conditions.events]


def test_a_trouble_is_told_once_for_each_reason() -> None:
    conditions = Conditions(lambda: 0.0)
    for reason in ("No route.", "No route.", "Refused.", "No route.", "Refused."):
        conditions.begins("docker", reason)
    assert told(conditions) == ["No route.", "Refused."]
    assert conditions.current == ["Refused."]
    conditions.over("docker", "It answers.")
    conditions.over("docker", "It answers.")
    conditions.begins("docker", "No route.")
    assert told(conditions)[2:] == ["It answers.", "No route."]


def test_numbers_make_no_other_reason() -> None:
    conditions = Conditions(lambda: 0.0)
    for number in range(5):
        conditions.begins("docker", f"<Connection at 0x7f{number}a>: no answer in {number} s.")
    assert len(told(conditions)) == 1
    assert conditions.current == ["<Connection at 0x7f4a>: no answer in 4 s."]


def test_a_reason_that_changes_for_ever_is_not_told_for_ever() -> None:
    conditions = Conditions(lambda: 0.0)
    for letter in range(1_000):
        conditions.begins("docker", chr(0x4E00 + letter))
    assert 2 < len(told(conditions)) < 100
