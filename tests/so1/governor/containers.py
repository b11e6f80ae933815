# SPDX-License-Identifier: MIT
"""Containers made up for tests."""

from so1.model import CLASS, MANAGED, Container, ContainerUsage

NOW = 1_700_000_000.0


def usage(
    number: int,
    class_: str | None = "low",
    *,
    managed: bool = True,
    ram: int = 100,
    cpu: float = 0,
    age: float = 3600,
) -> ContainerUsage:
    labels = ({MANAGED: "true"} if managed else {}) | ({CLASS: class_} if class_ else {})
    container = Container(
        id=f"{number:064x}",
        name=f"c{number}",
        image="alpine" if class_ == "low" else "stress",
        labels=labels,
        started_at=NOW - age,
    )
    return ContainerUsage(container=container, ram=ram, cpu=cpu, processes=1)
