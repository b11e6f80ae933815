# SPDX-License-Identifier: MIT
import msgspec
import pytest

from so1.config import Metrics
from so1.exposition.families import FIXED, OF_CONTAINER, OF_NAME, Families
from so1.model import MemoryLimit, Spent
from tests.so1.exposition.samples import (
    Series,
    complaints,
    container,
    of,
    removal,
    series,
    text,
    told,
)
from tests.so1.processes import typed
from tests.so1.samples import charged, sample

WEB = "ab" * 32


def test_promtool_is_clean_of_it_and_would_not_be_of_another() -> None:
    shown = text(Families(), told([typed(1, container_id=WEB)], [container(WEB)]))
    assert complaints(shown) == ""
    assert "no help text" in complaints("# TYPE so1_x gauge\nso1_x 1\n")
    assert complaints(shown + 'so1_docker_up{a="\n"} 1\n') != ""


def test_the_host() -> None:
    round_ = told([typed(1), typed(2, state=32), typed(3, state=258)])
    shown = text(Families(), round_)
    assert of(shown, "so1_snapshot_blind") == 0
    assert of(shown, "so1_host_memory_size_bytes") == 1_000 * 1024
    assert of(shown, "so1_host_memory_free_bytes") == 400 * 1024
    assert of(shown, "so1_host_memory_available_bytes") == 700 * 1024
    assert of(shown, "so1_host_cpu_busy_ratio") == 0.25
    assert of(shown, "so1_host_processes", state="zombie") == 1
    assert of(shown, "so1_host_processes", state="disk-sleep") == 1
    assert of(shown, "so1_host_processes", state="stopped") == 0
    assert of(shown, "so1_snapshot_source", source="module") == 1
    assert of(shown, "so1_snapshot_source", source="procfs") == 0


def test_a_container_by_name_image_and_class() -> None:
    web = container(
        WEB, name="web", image="nginx:1", labels={"so1.managed": "true", "so1.class": "high"}
    )
    inside = [typed(1, rss=10, container_id=WEB), typed(2, rss=20, container_id=WEB)]
    families = Families()
    labels = {"name": "web", "image": "nginx:1", "class": "high"}
    for seconds in (2.0, 4.0):
        shown = text(families, told(inside, [web], used={1: 500_000_000, 2: 1_500_000_000}))
        assert of(shown, "so1_container_cpu_seconds_total", **labels) == seconds
    assert of(shown, "so1_container_resident_memory_bytes", **labels) == 30 * 1024
    assert of(shown, "so1_container_processes", **labels) == 2
    assert of(shown, "so1_containers", **{"class": "high"}) == 1
    assert of(shown, "so1_containers", **{"class": "unmanaged"}) == 0
    assert of(shown, "so1_unattributed_processes") == 0


def test_what_a_container_is_charged() -> None:
    web = container(WEB, name="web", restarts=4)
    (made,) = sample([], [web], charges={WEB: charged(512, memory_limit=2048)}).containers
    spent = Spent(cpu_ns=3 * 10**9, cpu=97.0, throttled_ns=10**9, oom_kills=2)
    made = msgspec.structs.replace(made, spent=spent, cpu_ns=3 * 10**9)
    replaced = msgspec.structs.replace(
        told(), sample=msgspec.structs.replace(told().sample, containers=[made])
    )
    families = Families()
    labels = {"name": "web", "image": "alpine", "class": "unmanaged"}
    for times in (1, 2):
        shown = text(families, replaced)
        assert of(shown, "so1_container_memory_bytes", **labels) == 512 * 1024
        assert of(shown, "so1_container_memory_limit_bytes", **labels) == 2048 * 1024
        assert of(shown, "so1_container_oom_kills_total", **labels) == 2 * times
        assert of(shown, "so1_container_cpu_seconds_total", **labels) == 3 * times
        assert of(shown, "so1_container_cpu_throttled_seconds_total", **labels) == times
        assert of(shown, "so1_container_restarts", **labels) == 4
        assert of(shown, "so1_unmeasured_containers") == 0
    assert complaints(shown) == ""


def test_a_container_that_is_not_measured_has_no_memory_rather_than_none() -> None:
    shown = text(Families(), told([], [container(WEB, name="web", looping=True)]))
    assert not [
        name
        for name, labels in series(shown)
        if name.startswith("so1_container_memory") and ("name", "web") in labels
    ]
    assert of(shown, "so1_unmeasured_containers") == 1
    assert of(shown, "so1_looping_containers") == 1


def test_blindness() -> None:
    made = told()
    snapshot = msgspec.structs.replace(made.sample.snapshot, blind="Hidden")
    assert of(text(Families(), told(snapshot=snapshot)), "so1_snapshot_blind") == 1


def test_a_container_without_the_label_has_no_class_of_the_governor() -> None:
    web = container(WEB, name="web", labels={"so1.class": "high"})
    shown = text(Families(), told([], [web]))
    labels = {"name": "web", "image": "alpine", "class": "unmanaged"}
    assert of(shown, "so1_container_processes", **labels) == 0


def test_containers_that_docker_did_not_name_are_one() -> None:
    ids = ["cd" * 32, "ef" * 32]
    inside = [typed(pid, rss=pid, container_id=ids[pid % 2]) for pid in (1, 2, 3)]
    shown = text(Families(), told(inside, strangers=[container(id_) for id_ in ids]))
    labels = {"name": "(unknown)", "image": "", "class": "unmanaged"}
    assert of(shown, "so1_container_resident_memory_bytes", **labels) == 6 * 1024
    assert of(shown, "so1_unattributed_processes") == 3
    assert not any(id_[:12] in shown for id_ in ids)


def test_processes_are_grouped_by_name_and_the_sums_are_right() -> None:
    settings = Metrics(enabled=True, top_processes=2)
    many = [typed(pid, name=f"n{pid % 50}", rss=pid) for pid in range(500)]
    used = {pid: (7 * pid % 100) * 1_000_000 for pid in range(500)}
    shown = series(text(Families(), told(many, used=used, settings=settings)))
    for metric, total in (
        ("resident_memory_bytes", sum(range(500)) * 1024),
        ("cpu_seconds_total", sum(used.values()) / 1e9),
        ("processes", 500),
    ):
        of_names = {
            dict(labels)["name"]: value
            for (name, labels), value in shown.items()
            if name == f"so1_process_group_{metric}"
        }
        assert "(other)" in of_names
        assert 3 <= len(of_names) <= 5
        assert sum(of_names.values()) == pytest.approx(total)
    assert {"n49", "n48"} < of_names.keys()


def test_a_pid_is_never_in_it() -> None:
    shown = text(Families(), told([typed(1_234_567, name="x", ppid=7_654_321)]))
    assert "1234567" not in shown
    assert "7654321" not in shown
    assert "pid" not in {key for _, labels in series(shown) for key, _ in labels}


def test_the_governor() -> None:
    families = Families()
    events = [removal("done", "emergency"), removal("failed", "excess-low")]
    text(families, told(own={"events": events}))
    shown = text(families, told(own={"events": events[:1]}))
    name = "so1_governor_removals_total"
    assert of(shown, name, outcome="done", rule="emergency") == 2
    assert of(shown, name, outcome="failed", rule="excess-low") == 1
    assert of(shown, name, outcome="planned", rule="excess-high") == 0
    assert of(shown, "so1_governor_limit_containers", limit="maximum") == 10
    assert of(shown, "so1_governor_enforcing") == 1


def test_the_wastebasket() -> None:
    shown = text(Families(), told())
    assert of(shown, "so1_wastebasket_containers") == 2
    assert of(shown, "so1_wastebasket_size_bytes") == 3_000
    # Where it cannot be counted it is not told to be empty.
    assert "so1_wastebasket" not in text(Families(), told(own={"basket": None}))


def test_the_daemon() -> None:
    families = Families()
    text(families, told())
    shown = text(families, told(own={"dropped": {"late": 3}}, docker_answers=False))
    assert of(shown, "so1_ticks_total") == 2
    assert of(shown, "so1_ticks_dropped_total", reason="late") == 3
    assert of(shown, "so1_ticks_dropped_total", reason="database") == 0
    assert of(shown, "so1_tick_duration_seconds") == 0.25
    assert of(shown, "so1_tick_lateness_seconds") == 0.125
    assert of(shown, "so1_tick_timestamp_seconds") == 1_700_000_000.5
    assert of(shown, "so1_tick_interval_seconds") == 20
    assert of(shown, "so1_database_size_bytes") == 4_096
    assert of(shown, "so1_database_limit_bytes") == 1 << 30
    assert of(shown, "so1_docker_up") == 0
    assert of(shown, "so1_docker_age_seconds") == 0.5
    assert of(shown, "process_resident_memory_bytes") > 0
    assert 'so1_build_info{python="3.' in shown


def test_the_limiter() -> None:
    limits = [MemoryLimit(pid=pid, name="x", limit=5, size=1, set_at=0, set_by=0) for pid in (1, 4)]
    shown = text(Families(), told([typed(1)], limits=limits))
    assert of(shown, "so1_limiter_entries") == 2
    assert of(shown, "so1_limiter_dead_entries") == 1
    assert of(text(Families(), told()), "so1_limiter_entries") == 0


def test_what_neither_containers_nor_names_make_is_known() -> None:
    shown = series(text(Families(), told([])))
    others = [labels for _, labels in shown if ("name", "(other)") in labels]
    # Of a container nobody knows, neither what it is charged nor its limit is told.
    assert len(others) == OF_NAME + OF_CONTAINER - 2
    assert FIXED - 10 <= len(shown) - len(others) <= FIXED


def test_a_busy_host_stays_within_400() -> None:
    ids = [f"{number:064x}" for number in range(20)]
    processes = [
        typed(pid, name=f"name-{pid}", rss=pid, container_id=ids[pid % 20] if pid < 200 else None)
        for pid in range(500)
    ]
    containers = [container(id_, name=f"c{id_[-2:]}") for id_ in ids]
    shown = text(Families(), told(processes, containers))
    assert len(series(shown)) <= 400
    assert {f"c{id_[-2:]}" for id_ in ids} <= {
        dict(labels)["name"] for name, labels in series(shown) if name == "so1_container_processes"
    }


@pytest.mark.parametrize("most", [200, 400, 1_000])
def test_more_of_everything_stays_within_the_budget_and_is_counted(most: int) -> None:
    ids = [f"{number:064x}" for number in range(500)]
    processes = [
        typed(pid, name=f"name-{pid}", rss=pid, container_id=ids[pid % 500]) for pid in range(3_000)
    ]
    containers = [container(id_, name=f"c{number}") for number, id_ in enumerate(ids)]
    charges = {id_: charged(number) for number, id_ in enumerate(ids)}
    settings = Metrics(enabled=True, max_series=most, top_processes=1_000)
    families = Families()
    round_ = told(processes, containers, settings=settings, charges=charges)
    shown = text(families, round_)
    assert most - 50 <= len(series(shown)) <= most
    folded = of(shown, "so1_folded_total", kind="container")
    assert folded >= 500 - most / OF_CONTAINER
    twice = of(text(families, round_), "so1_folded_total", kind="container")
    assert twice == 2 * folded
    assert of(shown, "so1_folded_total", kind="process") > 2_000


def test_a_counter_only_grows_for_as_long_as_it_is_there() -> None:
    families = Families()
    settings = Metrics(enabled=True, top_processes=1)
    before: Series = {}
    total = 0.0
    for number in range(30):
        processes = [typed(pid, name=f"n{(number * pid) % 7}") for pid in range(1, 12)]
        used = {pid: (pid * number % 5) * 10**9 for pid in range(1, 12)}
        total += sum(used.values()) / 1e9
        now = {
            key: value
            for key, value in series(
                text(families, told(processes, used=used, settings=settings))
            ).items()
            if key[0] == "so1_process_group_cpu_seconds_total"
        }
        for key in now.keys() & before.keys():
            assert now[key] >= before[key]
        before = now
    assert before["so1_process_group_cpu_seconds_total", frozenset({("name", "(other)")})] > 0
    assert sum(now.values()) <= total


def test_a_reload_with_a_smaller_budget_is_followed() -> None:
    families = Families()
    processes = [typed(pid, name=f"n{pid}") for pid in range(300)]
    roomy = Metrics(enabled=True, max_series=400)
    text(families, told(processes, settings=roomy))
    tight = msgspec.structs.replace(roomy, max_series=200)
    assert len(series(text(families, told(processes, settings=tight)))) <= 200
