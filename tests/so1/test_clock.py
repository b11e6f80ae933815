# SPDX-License-Identifier: MIT
import pytest

from so1.clock import Steps, boottime, moment


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (0, None),
        (1.9, None),
        (-1.9, None),
        (3, "set forward by 0:00:03, to 1970-01-01 00:01:43 UTC"),
        (-3_700, "set back by 1:01:40, to 1970-01-01 00:00:00 UTC"),
        (400 * 86_400, "set forward by 400 days, 0:00:00, to 1971-"),
        (9e12, "s after 1970"),
    ],
)
def test_a_step_is_told_once(step: float, said: str | None) -> None:
    now, up = 80.0 if step != -3_700 else 3_680.0, 5.0
    steps = Steps(lambda: now, lambda: up)
    now += 20 + step
    up += 20
    told = steps.told()
    assert (told is None) == (said is None)
    assert said is None or said in str(told)
    now += 20
    up += 20
    assert steps.told() is None


def test_what_counts_is_what_the_kernel_says() -> None:
    before = boottime()
    assert 0 < before <= boottime()
    assert moment(0) == "1970-01-01 00:00:00 UTC"
