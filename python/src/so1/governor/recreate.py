# SPDX-License-Identifier: MIT
"""What brings a removed container back: a `docker run` line, and what the engine creates it from.

What the image says itself is left out. The values of environment variables are left out too, as the
command line is kept in a database and shown in dashboards: `-e NAME` takes the value from the shell
that runs it. What the command line cannot hold is told in the notes: each setting that differs from
the default is in the one or in the other.
"""

import csv
import io
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec

_SHM_SIZE = 64 << 20
_NANO = 1_000_000_000
_PLAIN_LOGS = ("json-file", "local", "journald", "none")
"""Log drivers that need no password; the options of others stay out of the database."""
_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "'": "\\'", "\\": "\\\\"}

Inspection = Mapping[str, Any]

# Of the engine's HostConfig: the option, and the values that are the default.
_VALUES: dict[str, tuple[str, tuple[object, ...]]] = {
    "Memory": ("--memory", ()),
    "MemoryReservation": ("--memory-reservation", ()),
    "MemorySwappiness": ("--memory-swappiness", (-1,)),
    "CpuShares": ("--cpu-shares", ()),
    "CpuPeriod": ("--cpu-period", ()),
    "CpuQuota": ("--cpu-quota", ()),
    "CpusetCpus": ("--cpuset-cpus", ()),
    "CpusetMems": ("--cpuset-mems", ()),
    "PidsLimit": ("--pids-limit", (-1,)),
    "BlkioWeight": ("--blkio-weight", ()),
    "OomScoreAdj": ("--oom-score-adj", ()),
    "ShmSize": ("--shm-size", (_SHM_SIZE,)),
    "PidMode": ("--pid", ()),
    "UTSMode": ("--uts", ()),
    "IpcMode": ("--ipc", ("private",)),
    "UsernsMode": ("--userns", ()),
    "CgroupnsMode": ("--cgroupns", ("private",)),
    "CgroupParent": ("--cgroup-parent", ()),
    "Runtime": ("--runtime", ("runc",)),
    "VolumeDriver": ("--volume-driver", ()),
    "Isolation": ("--isolation", ("default",)),
    "CpuRealtimePeriod": ("--cpu-rt-period", ()),
    "CpuRealtimeRuntime": ("--cpu-rt-runtime", ()),
    "KernelMemory": ("--kernel-memory", ()),
}
_LISTS = {
    "CapAdd": "--cap-add",
    "CapDrop": "--cap-drop",
    "GroupAdd": "--group-add",
    "Dns": "--dns",
    "DnsOptions": "--dns-option",
    "DnsSearch": "--dns-search",
    "ExtraHosts": "--add-host",
    "DeviceCgroupRules": "--device-cgroup-rule",
}
_MAPS = {"Sysctls": "--sysctl", "StorageOpt": "--storage-opt", "Annotations": "--annotation"}
# Settings of devices: the option, and the key of the number beside the path.
_DEVICES = {
    "BlkioWeightDevice": ("--blkio-weight-device", "Weight"),
    "BlkioDeviceReadBps": ("--device-read-bps", "Rate"),
    "BlkioDeviceWriteBps": ("--device-write-bps", "Rate"),
    "BlkioDeviceReadIOps": ("--device-read-iops", "Rate"),
    "BlkioDeviceWriteIOps": ("--device-write-iops", "Rate"),
}
_FLAGS = {
    "Privileged": "--privileged",
    "ReadonlyRootfs": "--read-only",
    "AutoRemove": "--rm",
    "PublishAllPorts": "--publish-all",
    "OomKillDisable": "--oom-kill-disable",
    "Init": "--init",
}
# What the functions below bring into the line or into the notes, and what says nothing.
_HOST_SEEN = {
    *_VALUES,
    *_LISTS,
    *_MAPS,
    *_DEVICES,
    *_FLAGS,
    *("NanoCpus", "Ulimits", "Devices", "DeviceRequests", "RestartPolicy", "MemorySwap"),
    *("SecurityOpt", "MaskedPaths", "ReadonlyPaths", "NetworkMode", "Links", "PortBindings"),
    *("Binds", "Tmpfs", "Mounts", "VolumesFrom", "LogConfig", "ConsoleSize", "ContainerIDFile"),
}
_OWN_SEEN = {
    *("Hostname", "Domainname", "User", "WorkingDir", "StopSignal", "StopTimeout", "Tty"),
    *("OpenStdin", "StdinOnce", "AttachStdin", "AttachStdout", "AttachStderr", "ExposedPorts"),
    *("Env", "Cmd", "Entrypoint", "Image", "Volumes", "Labels", "Healthcheck", "MacAddress"),
}
_RECURSIVE = {
    "NonRecursive": "disabled",
    "ReadOnlyNonRecursive": "writable",
    "ReadOnlyForceRecursive": "readonly",
}
_MOUNT_OPTIONS_SEEN = {
    "BindOptions": {"Propagation", *_RECURSIVE},
    "VolumeOptions": {"NoCopy", "Subpath"},
    "TmpfsOptions": {"SizeBytes", "Mode"},
}
_MOUNT_SEEN = {"Type", "Source", "Target", "ReadOnly", *_MOUNT_OPTIONS_SEEN}
_MASKED = "/proc/kcore"
"""In every engine's default of what a container does not see of /proc."""
_MADE = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/etc/mtab", "/.dockerenv")
"""Files that the engine itself puts into a container's layer."""


_EMPTY_SAYS = {"MaskedPaths", "ReadonlyPaths", "MemorySwappiness", "StopTimeout", "Init"}
"""Settings whose nothing (an empty list, 0, false) is not the default."""
_CLIENTS = {"ContainerIDFile", "ConsoleSize"}
"""What the engine notes of the client that made a container."""
_ENDPOINT = ("IPAMConfig", "Links", "Aliases", "DriverOpts", "GwPriority")
"""Of an endpoint, what somebody has set; the rest is how it came to be."""


class Body(msgspec.Struct, frozen=True):
    """What the engine creates a container from, without secrets.

    unset names the environment variables whose values are not in it, lost what else is not.
    """

    body: dict[str, Any]
    unset: list[str]
    lost: list[str]


class Recreate(msgspec.Struct, frozen=True):
    """A command line, and what it cannot hold, a clause each."""

    command: str
    notes: list[str]


def command(container: Inspection, image: Inspection | None, named: Inspection | None) -> Recreate:
    """Write the command line for a container from what the engine says about it and its image.

    `image` is the one that it was made from, `named` the one that its name stands for by now; None
    where there is none.
    """
    config, host = container["Config"], container["HostConfig"]
    base: Inspection = ((image or {}).get("Config") or {}) if image else {}
    notes: list[str] = []
    words = ["docker", "run", "--detach", "--name", _name(container)]
    words += _host(host)
    words += _security(host, notes)
    words += _memory_swap(host)
    words += _network(container, notes)
    words += _ports(host, config, base)
    words += _mounts(container, notes)
    words += _own(config, base)
    words += _logging(host, notes)
    words += _health(config, base, notes)
    names = _environment(config, base)
    words += [word for name in names for word in ("--env", name)]
    words += _process(config, base, _image(config["Image"], image, named, notes))
    if names:
        notes.append(f"the values of {', '.join(names)} are not kept: set them before")
    if host.get("DeviceRequests"):
        notes.append("its GPUs are not named")
    notes += _unsaid(config, host, base)
    return Recreate(" ".join(map(quote, words)), notes)


def body(container: Inspection, image: Inspection | None) -> Body:
    """Write what the engine creates a container like this one from; `image` is what it was made of.

    Like the command line it is kept in a database, so it holds no value of the environment either.
    Volumes without a name come back by the name that they got.
    """
    base: Inspection = ((image or {}).get("Config") or {}) if image else {}
    lost: list[str] = []
    own = _said(container["Config"])
    unset = _environment(container["Config"], base)
    own["Env"] = [one for one in own.get("Env", ()) if one.partition("=")[0] not in unset]
    if own.get("Hostname") == container["Id"][:12]:
        del own["Hostname"]
    if not _words(own.get("Entrypoint")) and _words(base.get("Entrypoint")):
        own["Entrypoint"] = [""]
    own.pop("Volumes", None)  # they are among the mounts, with their names
    host = _said(container["HostConfig"])
    for key in _CLIENTS:
        host.pop(key, None)
    logs = host.get("LogConfig") or {}
    if logs.get("Config") and logs.get("Type") not in _PLAIN_LOGS:
        lost.append(f"the options of its log driver: {', '.join(sorted(logs['Config']))}")
        host["LogConfig"] = {"Type": logs["Type"]}
    host["Mounts"], unsaid = _body_mounts(container)
    lost += unsaid
    host["Binds"] = [*(host.get("Binds") or ()), *_anonymous(container)]
    joined = (container.get("NetworkSettings") or {}).get("Networks") or {}
    names = {str(container["Name"]).removeprefix("/"), container["Id"][:12]}
    networks = {name: _endpoint(found or {}, names) for name, found in joined.items()}
    return Body({**own, "HostConfig": host, "Networks": networks}, unset, lost)


def _said(settings: Inspection) -> dict[str, Any]:
    """Leave out what says nothing."""
    return {key: value for key, value in settings.items() if value or _says(key, value)}


def _says(key: str, value: object) -> bool:
    return key in _EMPTY_SAYS and value is not None


def _body_mounts(container: Inspection) -> tuple[list[dict[str, Any]], list[str]]:
    mounted = {mount.get("Destination"): mount for mount in container.get("Mounts") or ()}
    result, lost = [], []
    for mount in container["HostConfig"].get("Mounts") or ():
        made = dict(mount)
        if name := (mounted.get(mount["Target"]) or {}).get("Name"):
            made.setdefault("Source", name)
        volume = dict(made.get("VolumeOptions") or {})
        if (volume.pop("DriverConfig", None) or {}).get("Options"):
            lost.append(f"the options of the volume's driver at {mount['Target']}")
            made["VolumeOptions"] = volume
        result.append(made)
    return result, lost


def _anonymous(container: Inspection) -> list[str]:
    """Name the volumes that no setting names: those of the image, and of `--volume /path`."""
    host = container["HostConfig"]
    said = {_target(bind) for bind in host.get("Binds") or ()}
    said |= {mount["Target"] for mount in host.get("Mounts") or ()}
    return [
        f"{mount['Name']}:{mount['Destination']}" + ("" if mount.get("RW", True) else ":ro")
        for mount in container.get("Mounts") or ()
        if mount.get("Name") and mount["Destination"] not in said
    ]


def _endpoint(endpoint: Inspection, own: set[str]) -> dict[str, Any]:
    found = {key: endpoint[key] for key in _ENDPOINT if endpoint.get(key)}
    if "Aliases" in found:
        found["Aliases"] = _aliases(endpoint, own)
    return found


def own_files(container: Inspection, changed: Iterable[str]) -> list[str]:
    """Choose what no line brings back of the files that differ from those of the image.

    What the engine itself has put there, and the places of volumes, are none of it.
    """
    places = {mount.get("Destination", "") for mount in container.get("Mounts") or ()}
    places |= {*(container["HostConfig"].get("Tmpfs") or {}), *_MADE, "/dev", "/proc", "/sys"}
    paths = sorted(changed)
    holding = {parent for path in paths for parent in _parents(path)}
    return [
        path
        for path in paths
        if path not in holding
        and not any(place == path or place in _parents(path) for place in places)
        and not any(path in _parents(place) for place in places)
    ]


def _parents(path: str) -> list[str]:
    return [str(parent) for parent in PurePosixPath(path).parents]


def _name(container: Inspection) -> str:
    return str(container["Name"]).removeprefix("/")


def _image(name: str, image: Inspection | None, named: Inspection | None, notes: list[str]) -> str:
    """Name the image so that the line starts the same one."""
    if image is None:
        notes.append("its image is gone")
        return name
    if named is not None and named.get("Id") == image.get("Id"):
        return name
    repository = _repository(name)
    digests = [one for one in image.get("RepoDigests") or () if _repository(one) == repository]
    notes.append(f"{name} is another image by now, so the line names its own")
    return str(digests[0] if digests else image["Id"])


def _repository(name: str) -> str:
    """Leave out the tag and the digest; a port of the registry stays."""
    name = name.partition("@")[0]
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(":")[0]


def _unsaid(config: Inspection, host: Inspection, base: Inspection) -> Iterator[str]:
    """Name the settings that differ from the default, and that no one above knows."""
    own = {key for key, value in config.items() if value and value != base.get(key)} - _OWN_SEEN
    others = sorted(own | {key for key, value in host.items() if value} - _HOST_SEEN)
    if others:
        yield f"settings that are not in the line: {', '.join(others)}"


def quote(word: str) -> str:
    """Quote a word for the shell, on one line and printable whatever it holds."""
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(_escape(character) for character in word) + "'"


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _host(host: Inspection) -> Iterator[str]:
    for key, (option, defaults) in _VALUES.items():
        value = host.get(key)
        if value and value not in defaults:
            yield from (option, str(value))
    for key, option in _LISTS.items():
        for value in host.get(key) or ():
            yield from (option, str(value))
    for key, option in _MAPS.items():
        for name, value in sorted((host.get(key) or {}).items()):
            yield from (option, f"{name}={value}")
    yield from (option for key, option in _FLAGS.items() if host.get(key))
    if host.get("NanoCpus"):
        yield from ("--cpus", f"{host['NanoCpus'] / _NANO:.9f}".rstrip("0").rstrip("."))
    if host.get("MemorySwappiness") == 0:
        yield from ("--memory-swappiness", "0")
    if host.get("Init") is False:
        yield "--init=false"
    for key, (option, number) in _DEVICES.items():
        for device in host.get(key) or ():
            yield from (option, f"{device['Path']}:{device[number]}")
    for limit in host.get("Ulimits") or ():
        yield from ("--ulimit", f"{limit['Name']}={limit['Soft']}:{limit['Hard']}")
    for device in host.get("Devices") or ():
        parts = (device["PathOnHost"], device["PathInContainer"], device["CgroupPermissions"])
        yield from ("--device", ":".join(filter(None, parts)))
    restart = host.get("RestartPolicy") or {}
    if restart.get("Name", "no") not in ("", "no"):
        retries = restart.get("MaximumRetryCount")
        yield from ("--restart", restart["Name"] + (f":{retries}" if retries else ""))


def _security(host: Inspection, notes: list[str]) -> Iterator[str]:
    for option in host.get("SecurityOpt") or ():
        if option.startswith("seccomp={"):
            # The engine has the profile, the command line wants the name of a file.
            notes.append("its seccomp profile is not kept: give --security-opt seccomp=FILE")
        else:
            yield from ("--security-opt", option)
    masked, readonly = host.get("MaskedPaths"), host.get("ReadonlyPaths")
    if masked == [] and readonly == []:
        yield from ("--security-opt", "systempaths=unconfined")
    elif masked is not None and _MASKED not in masked and not host.get("Privileged"):
        notes.append("which paths of /proc and /sys it sees is not kept")


def _memory_swap(host: Inspection) -> list[str]:
    swap, memory = host.get("MemorySwap") or 0, host.get("Memory") or 0
    # The engine's default is as much swap as memory.
    return [] if swap in (0, 2 * memory) else ["--memory-swap", str(swap)]


def _network(container: Inspection, notes: list[str]) -> Iterator[str]:
    host, config = container["HostConfig"], container["Config"]
    mode = host.get("NetworkMode") or "default"
    joined = (container.get("NetworkSettings") or {}).get("Networks") or {}
    if mode not in ("default", "bridge"):
        yield from ("--network", mode)
    first = joined.get(mode) or {}
    addresses = first.get("IPAMConfig") or {}
    for key, option in (("IPv4Address", "--ip"), ("IPv6Address", "--ip6")):
        if addresses.get(key):
            yield from (option, addresses[key])
    for address in addresses.get("LinkLocalIPs") or ():
        yield from ("--link-local-ip", address)
    own = {container["Id"][:12], _name(container)}
    for alias in _aliases(first, own):
        yield from ("--network-alias", alias)
    others = sorted(set(joined) - {"bridge" if mode == "default" else mode})
    if others:
        afterwards = ", ".join(_joined(name, joined[name] or {}, own) for name in others)
        notes.append(f"connect it to {afterwards} afterwards")
    for name, endpoint in sorted(joined.items()):
        if any((endpoint or {}).get(key) for key in ("DriverOpts", "GwPriority")):
            notes.append(f"the options of its driver for the network {name} are not kept")
    for link in host.get("Links") or ():
        target, _, alias = link.partition(":")
        yield from ("--link", f"{target.removeprefix('/')}:{alias.rpartition('/')[2]}")
    if config.get("MacAddress"):
        yield from ("--mac-address", config["MacAddress"])
    shared = mode.startswith("container:") or host.get("UTSMode")
    if not shared and config.get("Hostname") not in (None, "", container["Id"][:12]):
        yield from ("--hostname", config["Hostname"])
    if not shared and config.get("Domainname"):
        yield from ("--domainname", config["Domainname"])


def _aliases(endpoint: Inspection, own: set[str]) -> list[str]:
    return [alias for alias in endpoint.get("Aliases") or () if alias not in own]


def _joined(network: str, endpoint: Inspection, own: set[str]) -> str:
    """Name a further network, with what `docker network connect` is to be given."""
    addresses = endpoint.get("IPAMConfig") or {}
    options = [
        f"{option} {addresses[key]}"
        for key, option in (("IPv4Address", "--ip"), ("IPv6Address", "--ip6"))
        if addresses.get(key)
    ]
    options += [f"--alias {alias}" for alias in _aliases(endpoint, own)]
    return f"{network} ({' '.join(options)})" if options else network


def _ports(host: Inspection, config: Inspection, base: Inspection) -> Iterator[str]:
    bound = host.get("PortBindings") or {}
    for port, bindings in sorted(bound.items()):
        for binding in bindings or [{}]:
            address, outside = binding.get("HostIp") or "", binding.get("HostPort") or ""
            if ":" in address:
                address = f"[{address}]"
            prefix = f"{address}:{outside}:" if address else f"{outside}:" if outside else ""
            yield from ("--publish", prefix + port)
    exposed = set(config.get("ExposedPorts") or ()) - set(base.get("ExposedPorts") or ())
    for port in sorted(exposed - set(bound)):
        yield from ("--expose", port)


def _mounts(container: Inspection, notes: list[str]) -> Iterator[str]:
    host = container["HostConfig"]
    mounted = {mount.get("Destination"): mount for mount in container.get("Mounts") or ()}
    said = set()
    for bind in host.get("Binds") or ():
        said.add(_target(bind))
        yield from ("--volume", bind)
    for path, options in sorted((host.get("Tmpfs") or {}).items()):
        said.add(path)
        yield from ("--tmpfs", f"{path}:{options}" if options else path)
    for mount in host.get("Mounts") or ():
        said.add(mount["Target"])
        # One without a name got one: with it the data come back.
        name = (mounted.get(mount["Target"]) or {}).get("Name")
        yield from ("--mount", _mount(mount, mount.get("Source") or name or ""))
        if lost := _unsaid_of_mount(mount):
            notes.append(f"of what is at {mount['Target']} the line does not have {lost}")
    for path, mount in sorted(mounted.items()):
        if path not in said and (source := mount.get("Name") or mount.get("Source")):
            yield from ("--volume", f"{source}:{path}" + ("" if mount.get("RW", True) else ":ro"))


def _target(bind: str) -> str:
    parts = bind.split(":")
    return parts[1] if len(parts) > 1 else parts[0]


def _mount(mount: Inspection, source: str) -> str:
    fields = [f"type={mount['Type']}"]
    if source:
        fields.append(f"source={source}")
    fields.append(f"target={mount['Target']}")
    if mount.get("ReadOnly"):
        fields.append("readonly")
    tmpfs, bind = mount.get("TmpfsOptions") or {}, mount.get("BindOptions") or {}
    volume = mount.get("VolumeOptions") or {}
    if tmpfs.get("SizeBytes"):
        fields.append(f"tmpfs-size={tmpfs['SizeBytes']}")
    if tmpfs.get("Mode"):
        fields.append(f"tmpfs-mode={tmpfs['Mode']:o}")
    if bind.get("Propagation"):
        fields.append(f"bind-propagation={bind['Propagation']}")
    fields += [f"bind-recursive={how}" for key, how in _RECURSIVE.items() if bind.get(key)]
    if volume.get("NoCopy"):
        fields.append("volume-nocopy")
    if volume.get("Subpath"):
        fields.append(f"volume-subpath={volume['Subpath']}")
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(fields)
    return text.getvalue()


def _unsaid_of_mount(mount: Inspection) -> str:
    """Name what _mount does not write; the options of a volume's driver may hold a password."""
    unsaid = [key for key, value in mount.items() if value and key not in _MOUNT_SEEN]
    for key, seen in _MOUNT_OPTIONS_SEEN.items():
        unsaid += [
            name for name, value in (mount.get(key) or {}).items() if value and name not in seen
        ]
    return ", ".join(sorted(unsaid))


def _own(config: Inspection, base: Inspection) -> Iterator[str]:
    for key, option in (
        ("User", "--user"),
        ("WorkingDir", "--workdir"),
        ("StopSignal", "--stop-signal"),
    ):
        if config.get(key) and config[key] != base.get(key):
            yield from (option, config[key])
    if config.get("StopTimeout") is not None and config["StopTimeout"] != base.get("StopTimeout"):
        yield from ("--stop-timeout", str(config["StopTimeout"]))
    if config.get("Tty"):
        yield "--tty"
    if config.get("OpenStdin"):
        yield "--interactive"
    inherited = base.get("Labels") or {}
    for name, value in sorted((config.get("Labels") or {}).items()):
        if inherited.get(name) != value:
            yield from ("--label", f"{name}={value}")


def _logging(host: Inspection, notes: list[str]) -> Iterator[str]:
    logs = host.get("LogConfig") or {}
    driver, options = logs.get("Type") or "json-file", logs.get("Config") or {}
    if driver != "json-file" or options:
        yield from ("--log-driver", driver)
    if driver in _PLAIN_LOGS:
        for name, value in sorted(options.items()):
            yield from ("--log-opt", f"{name}={value}")
    elif options:
        notes.append(f"the options of its log driver are not kept: {', '.join(sorted(options))}")


def _health(config: Inspection, base: Inspection, notes: list[str]) -> Iterator[str]:
    check = config.get("Healthcheck") or {}
    if not check or check == base.get("Healthcheck"):
        return
    kind, *words = check.get("Test") or [""]
    if kind == "NONE":
        yield "--no-healthcheck"
        return
    if words:
        yield from ("--health-cmd", words[0] if kind == "CMD-SHELL" else shlex.join(words))
    if kind == "CMD":
        notes.append("its health check is run by a shell")
    for key, option in (
        ("Interval", "--health-interval"),
        ("Timeout", "--health-timeout"),
        ("StartPeriod", "--health-start-period"),
        ("StartInterval", "--health-start-interval"),
    ):
        if check.get(key):
            yield from (option, f"{check[key]}ns")
    if check.get("Retries"):
        yield from ("--health-retries", str(check["Retries"]))


def _environment(config: Inspection, base: Inspection) -> list[str]:
    inherited = set(base.get("Env") or ())
    return sorted(
        entry.partition("=")[0] for entry in config.get("Env") or () if entry not in inherited
    )


def _process(config: Inspection, base: Inspection, image: str) -> list[str]:
    """Give the entry point, the image and the command, as the three depend on each other."""
    entry, arguments = _words(config.get("Entrypoint")), _words(config.get("Cmd"))
    from_image, default = _words(base.get("Entrypoint")), _words(base.get("Cmd"))
    if entry == from_image and (arguments or not default):
        return [image, *(arguments if arguments != default else [])]
    # One that is given takes the image's command away with the image's entry point.
    return ["--entrypoint", entry[0] if entry else "", image, *entry[1:], *arguments]


def _words(value: Iterable[str] | None) -> Sequence[str]:
    words = list(value or ())
    return [] if words == [""] else words
