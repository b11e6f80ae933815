#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Makes the disk image of the lab VM: a Debian with systemd, ssh, a Docker Engine and what the roles
# would install, so that they find it there. Needs root (for the ownership of the files inside).
#
# usage: image.sh SUITE DIRECTORY PUBLIC_KEY   -> DIRECTORY/{disk.raw,vmlinuz,initrd}
set -euo pipefail

suite=$1 out=$2 key=$3
packages=(
    # the machine
    systemd systemd-sysv systemd-timesyncd libpam-systemd dbus udev kmod openssh-server iproute2 ca-certificates
    linux-image-cloud-amd64 initramfs-tools zstd python3 sudo procps
    # what the roles, and Ansible's module for packages, install elsewhere
    linux-headers-cloud-amd64 dkms make gcc libc6-dev docker.io apparmor cron python3-requests python3-apt
    # what the test images and the tests are made of
    busybox-static stress-ng
)
# Debian 12's docker.io has the client in it.
[ "$suite" = bookworm ] || packages+=(docker-cli)

work=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root

mmdebstrap --mode=root --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --skip=cleanup/apt/lists --dpkgopt=force-unsafe-io \
    --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
    "$suite" "$root"

echo so1-lab >"$root/etc/hostname"
echo '127.0.0.1 localhost so1-lab' >"$root/etc/hosts"
install -d -m 0700 "$root/root/.ssh"
install -m 0600 "$key" "$root/root/.ssh/authorized_keys"
# user-mode networking: QEMU answers DHCP, and DNS on this address
cat >"$root/etc/systemd/network/lab.network" <<'NETWORK'
[Match]
Name=en* eth*
[Network]
DHCP=ipv4
NETWORK
rm -f "$root/etc/resolv.conf"
echo 'nameserver 10.0.2.3' >"$root/etc/resolv.conf"
chroot "$root" systemctl enable --quiet systemd-networkd
python=$root/usr/lib/python3/dist-packages
install -m 0644 "$(dirname "$0")/zip_bytecode.py" "$python"
echo import zip_bytecode >"$python/zip_bytecode.pth"
install -d -m 0700 "$root/var/cache/zip-bytecode"
# minutes of a slow machine's CPU that nobody asked for
chroot "$root" systemctl mask --quiet apt-daily.timer apt-daily-upgrade.timer man-db.timer \
    systemd-networkd-wait-online.service e2scrub_all.timer fstrim.timer

mkdir -p "$work/image"
cp -L "$root/vmlinuz" "$work/image/vmlinuz"
cp -L "$root/initrd.img" "$work/image/initrd"
truncate -s 10G "$work/image/disk.raw"
mkfs.ext4 -q -L so1-lab -d "$root" "$work/image/disk.raw"
# the caller may not be root: the image is theirs, and appears whole or not at all
chmod 0644 "$work/image"/*
chown -R "${SUDO_UID:-0}:${SUDO_GID:-0}" "$work/image"
rm -rf "$out"
mv "$work/image" "$out"
