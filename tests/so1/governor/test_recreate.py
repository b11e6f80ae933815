# SPDX-License-Identifier: MIT
"""The command line against what the engine may say; test_live.py runs it."""

import shlex
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so1.governor.recreate import command, own_files, quote

ID = "ab" * 32
IMAGE = {"Config": {"Env": ["PATH=/bin", "LANG=C"], "Cmd": ["sleep", "600"], "Entrypoint": None}}


def words(
    config: dict[str, Any] | None = None,
    host: dict[str, Any] | None = None,
    image: dict[str, Any] | None = IMAGE,
    **container: Any,
) -> list[str]:
    """The command line without what all of them have."""
    said = command(described(config, host, **container), image, image).command
    found = shlex.split(said)
    assert found[:5] == ["docker", "run", "--detach", "--name", "web"]
    return found[5:]


def described(
    config: dict[str, Any] | None = None, host: dict[str, Any] | None = None, **container: Any
) -> dict[str, Any]:
    base = IMAGE["Config"]
    return {
        "Id": ID,
        "Name": "/web",
        "Config": {"Image": "alpine", "Hostname": ID[:12], **base} | (config or {}),
        "HostConfig": host or {},
    } | container


def test_what_the_image_says_is_left_out() -> None:
    assert words() == ["alpine"]


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ({"Memory": 64 << 20}, "--memory 67108864"),
        ({"Memory": 64 << 20, "MemorySwap": 128 << 20}, "--memory 67108864"),
        ({"Memory": 64, "MemorySwap": -1}, "--memory 64 --memory-swap -1"),
        ({"NanoCpus": 1_500_000_000}, "--cpus 1.5"),
        ({"NanoCpus": 10_000_000_000}, "--cpus 10"),
        ({"NanoCpus": 10_000_000}, "--cpus 0.01"),
        ({"PidsLimit": 20}, "--pids-limit 20"),
        ({"PidsLimit": -1, "ShmSize": 64 << 20, "Runtime": "runc"}, ""),
        ({"IpcMode": "private", "CgroupnsMode": "private", "NetworkMode": "default"}, ""),
        ({"NetworkMode": "host", "PidMode": "host", "UTSMode": "host"},
         "--pid host --uts host --network host"),
        ({"NetworkMode": "container:db"}, "--network container:db"),
        ({"CapAdd": ["NET_ADMIN"], "CapDrop": ["ALL"]}, "--cap-add NET_ADMIN --cap-drop ALL"),
        ({"RestartPolicy": {"Name": "no"}}, ""),
        ({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}}, "--restart always"),
        ({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}},
         "--restart on-failure:3"),
        ({"AutoRemove": True, "ReadonlyRootfs": True, "Init": True}, "--read-only --rm --init"),
        ({"Init": False, "MemorySwappiness": 0}, "--memory-swappiness 0 --init=false"),
        ({"IpcMode": "shareable", "VolumeDriver": "nfs"}, "--ipc shareable --volume-driver nfs"),
        ({"BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 9}]},
         "--device-read-bps /dev/sda:9"),
        ({"BlkioWeightDevice": [{"Path": "/dev/sda", "Weight": 300}]},
         "--blkio-weight-device /dev/sda:300"),
        ({"MaskedPaths": [], "ReadonlyPaths": []}, "--security-opt systempaths=unconfined"),
        ({"MaskedPaths": ["/proc/kcore"], "ReadonlyPaths": ["/proc/bus"]}, ""),
        ({"SecurityOpt": ["no-new-privileges"]}, "--security-opt no-new-privileges"),
        ({"Sysctls": {"net.core.somaxconn": "9"}}, "--sysctl net.core.somaxconn=9"),
        ({"Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}]}, "--ulimit nofile=1:2"),
        ({"Devices": [{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse",
                       "CgroupPermissions": "rwm"}]}, "--device /dev/fuse:/dev/fuse:rwm"),
        ({"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}},
         "--publish 8080:80/tcp"),
        ({"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}},
         "--publish 127.0.0.1::80/tcp"),
        ({"PortBindings": {"53/udp": [{"HostIp": "::1", "HostPort": "53"}]}},
         "--publish '[::1]:53:53/udp'"),
        ({"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": ""}]}}, "--publish 80/tcp"),
        ({"Binds": ["/a b:/c:ro"]}, "--volume '/a b:/c:ro'"),
        ({"Tmpfs": {"/run": "", "/tmp": "size=1m"}}, "--tmpfs /run --tmpfs /tmp:size=1m"),
        ({"Mounts": [{"Type": "bind", "Source": "/a,b", "Target": "/c", "ReadOnly": True}]},
         """--mount 'type=bind,"source=/a,b",target=/c,readonly'"""),
        ({"Mounts": [{"Type": "bind", "Source": "/a", "Target": "/c",
                      "BindOptions": {"NonRecursive": True}}]},
         "--mount type=bind,source=/a,target=/c,bind-recursive=disabled"),
        ({"Mounts": [{"Type": "volume", "Source": "v", "Target": "/c",
                      "VolumeOptions": {"Subpath": "s"}}]},
         "--mount type=volume,source=v,target=/c,volume-subpath=s"),
        ({"Links": ["/db:/web/database"]}, "--link db:database"),
        ({"LogConfig": {"Type": "local", "Config": {"max-size": "1m"}}},
         "--log-driver local --log-opt max-size=1m"),
    ],
)  # fmt: skip
def test_the_hosts_side(host: dict[str, Any], said: str) -> None:
    assert words(host=host) == [*shlex.split(said), "alpine"]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"Cmd": ["sleep", "7"]}, "alpine sleep 7"),
        ({"Entrypoint": ["/bin/sh", "-c"], "Cmd": ["exit"]}, "--entrypoint /bin/sh alpine -c exit"),
        ({"Entrypoint": ["cat"], "Cmd": None}, "--entrypoint cat alpine"),
        ({"Entrypoint": [""], "Cmd": ["sleep", "600"]}, "alpine"),
        ({"User": "1000:1000"}, "--user 1000:1000 alpine"),
        ({"WorkingDir": "/srv"}, "--workdir /srv alpine"),
        ({"Tty": True, "OpenStdin": True}, "--tty --interactive alpine"),
        ({"Hostname": "db1", "Domainname": "lan"}, "--hostname db1 --domainname lan alpine"),
        ({"Healthcheck": {"Test": ["CMD-SHELL", "a"], "StartInterval": 7}},
         "--health-cmd a --health-start-interval 7ns alpine"),
        ({"Labels": {"b": "x y", "a": ""}}, "--label a= --label 'b=x y' alpine"),
        ({"StopSignal": "SIGINT"}, "--stop-signal SIGINT alpine"),
        ({"StopTimeout": 0}, "--stop-timeout 0 alpine"),
        ({"ExposedPorts": {"9/udp": {}}}, "--expose 9/udp alpine"),
        ({"Healthcheck": {"Test": ["NONE"]}}, "--no-healthcheck alpine"),
        ({"Healthcheck": {"Test": ["CMD", "a", "b c"], "Interval": 5, "Retries": 2}},
         """--health-cmd "a 'b c'" --health-interval 5ns --health-retries 2 alpine"""),
    ],
)  # fmt: skip
def test_its_own_side(config: dict[str, Any], said: str) -> None:
    assert words(config) == shlex.split(said)


def test_an_entry_point_taken_away() -> None:
    image = {"Config": {**IMAGE["Config"], "Entrypoint": ["/entry"], "Cmd": None}}
    assert words({"Entrypoint": None, "Cmd": ["ls"]}, image=image) == [
        *("--entrypoint", "", "alpine", "ls")
    ]


def test_no_value_of_the_environment_is_kept() -> None:
    config = {"Env": ["PATH=/bin", "LANG=de", "PASSWORD=hunter2", "TOKEN=a=b", "EMPTY="]}
    made = command(described(config), IMAGE, IMAGE)
    assert "hunter2" not in made.command
    assert shlex.split(made.command)[5:] == [
        *("--env", "EMPTY", "--env", "LANG", "--env", "PASSWORD", "--env", "TOKEN", "alpine")
    ]
    (note,) = made.notes
    assert "EMPTY, LANG, PASSWORD, TOKEN" in note
    assert "hunter2" not in note


def test_nor_are_the_options_of_a_log_driver_that_may_need_a_password() -> None:
    host = {"LogConfig": {"Type": "splunk", "Config": {"splunk-token": "hunter2"}}}
    made = command(described(host=host), IMAGE, IMAGE)
    assert "hunter2" not in made.command + str(made.notes)
    assert "--log-driver splunk" in made.command
    assert "splunk-token" in made.notes[0]


def test_a_volume_without_a_name_comes_back_by_the_name_it_got() -> None:
    mounts = [
        {"Type": "volume", "Name": "cd" * 32, "Destination": "/data", "RW": True},
        {"Type": "volume", "Name": "named", "Destination": "/named", "RW": False},
        {"Type": "bind", "Source": "/srv", "Destination": "/srv"},
    ]
    assert words(host={"Binds": ["/srv:/srv"]}, Mounts=mounts) == [
        *("--volume", "/srv:/srv", "--volume", f"{'cd' * 32}:/data", "--volume", "named:/named:ro"),
        "alpine",
    ]


def test_networks() -> None:
    joined = {
        "front": {"IPAMConfig": {"IPv4Address": "10.0.0.9"}, "Aliases": ["www", ID[:12], "web"]},
        "back": {},
    }
    container = described(host={"NetworkMode": "front"}, NetworkSettings={"Networks": joined})
    made = command(container, IMAGE, IMAGE)
    assert shlex.split(made.command)[5:] == [
        *("--network", "front", "--ip", "10.0.0.9", "--network-alias", "www", "alpine")
    ]
    assert made.notes == ["connect it to back afterwards"]


def test_a_name_on_the_network_of_the_host() -> None:
    host = {"NetworkMode": "host"}
    assert words({"Hostname": "db1"}, host) == ["--network", "host", "--hostname", "db1", "alpine"]
    assert "--hostname" not in words({"Hostname": "db1"}, {"NetworkMode": "container:db"})


def test_what_a_network_afterwards_is_to_be_given() -> None:
    joined = {
        "front": {},
        "back": {"IPAMConfig": {"IPv4Address": "10.0.0.9"}, "Aliases": ["www", ID[:12]]},
    }
    container = described(host={"NetworkMode": "front"}, NetworkSettings={"Networks": joined})
    assert command(container, IMAGE, IMAGE).notes == [
        "connect it to back (--ip 10.0.0.9 --alias www) afterwards"
    ]


@pytest.mark.parametrize(
    ("config", "host", "note"),
    [
        ({}, {"SecurityOpt": ['seccomp={"defaultAction": "X"}']}, "its seccomp profile"),
        ({}, {"MaskedPaths": ["/proc/x"]}, "which paths of /proc"),
        ({}, {"IOMaximumIOps": 7, "Cgroup": "x"}, "in the line: Cgroup, IOMaximumIOps"),
        ({"NetworkDisabled": True}, {"NewSetting": [1]}, "in the line: NetworkDisabled, NewSet"),
        ({"Shell": ["sh"]}, {}, "not in the line: Shell"),
        ({"Healthcheck": {"Test": ["CMD", "a"]}}, {}, "run by a shell"),
        ({}, {"DeviceRequests": [{}]}, "its GPUs"),
        (
            {},
            {
                "Mounts": [
                    {
                        "Type": "volume",
                        "Target": "/v",
                        "VolumeOptions": {
                            "Labels": {"a": "b"},
                            "DriverConfig": {"Options": {"password": "hunter2"}},
                        },
                        "BindOptions": {"CreateMountpoint": True},
                    }
                ]
            },
            "at /v the line does not have CreateMountpoint, DriverConfig, Labels",
        ),
    ],
)
def test_what_is_not_in_the_line_is_noted(
    config: dict[str, Any], host: dict[str, Any], note: str
) -> None:
    made = command(described(config, host), IMAGE, IMAGE)
    (said,) = made.notes
    assert note in said
    assert "seccomp" not in made.command
    assert "hunter2" not in made.command + said


def test_what_the_engine_always_says_is_not_noted() -> None:
    config = {"AttachStdout": True, "Volumes": {"/v": {}}, "StdinOnce": True}
    host = {"ConsoleSize": [24, 80], "ContainerIDFile": "/x", "Isolation": "default"}
    assert command(described(config, host), IMAGE, IMAGE).notes == []


@pytest.mark.parametrize(
    ("digests", "named", "word"),
    [
        ([], {"Id": "sha256:1"}, "host:5000/web:3"),
        ([], {"Id": "sha256:2"}, "sha256:1"),
        ([], None, "sha256:1"),
        (["web@sha256:9", "host:5000/web@sha256:8"], {"Id": "sha256:2"}, "host:5000/web@sha256:8"),
        (["web@sha256:9"], {"Id": "sha256:2"}, "sha256:1"),
    ],
)
def test_a_tag_that_has_moved_does_not_start_another_image(
    digests: list[str], named: dict[str, Any] | None, word: str
) -> None:
    image = {**IMAGE, "Id": "sha256:1", "RepoDigests": digests}
    made = command(described({"Image": "host:5000/web:3"}), image, named)
    assert shlex.split(made.command)[-1] == word
    moved = ["host:5000/web:3 is another image by now, so the line names its own"]
    assert made.notes == ([] if word == "host:5000/web:3" else moved)


def test_files_that_no_line_brings_back() -> None:
    mounts = [{"Destination": "/srv/data"}]
    container = described(host={"Tmpfs": {"/run": ""}}, Mounts=mounts)
    made_by_the_engine = ["/etc", "/etc/hosts", "/etc/resolv.conf", "/.dockerenv", "/dev/x", "/srv"]
    volumes = ["/srv/data", "/srv/data/x", "/run", "/run/pid"]
    own = ["/etc/app.conf", "/srv/datax", "/empty"]
    assert own_files(container, [*made_by_the_engine, *volumes, *own]) == sorted(own)


def test_an_image_that_is_gone_is_told() -> None:
    assert "its image is gone" in command(described(), None, None).notes


@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), max_size=5))
def test_any_word_comes_through_the_shell_whole_and_on_one_line(given_words: list[str]) -> None:
    line = " ".join(map(quote, given_words))
    assert line.isprintable()
    script = f"for word in {line}; do printf '%s\\0' \"$word\"; done"
    said = subprocess.run(["/bin/bash", "-c", script], capture_output=True, check=True).stdout
    assert said.decode().split("\0")[:-1] == given_words
