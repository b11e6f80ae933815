#!/bin/sh
# SPDX-License-Identifier: MIT
# Looks at the modules' state on a host and changes nothing. Prints a line for each thing to do:
#   missing NAME     the running kernel has not this version of the package
#   unwanted NAME    there is something of a package that is not wanted
#   follower IMAGE VERSION   a package that follows the newest kernel, without the one that follows its headers
#   no-headers       there is nothing to build against
#   group NUMBER     the readers' group
#
# usage: look.sh GROUP NAME/VERSION|NAME...   the latter is not wanted
set -u

tree=/var/lib/dkms sources=/usr/src hooks=/etc/kernel
kernel=$(uname -r) machine=$(uname -m)
group=$1
shift

for package in "$@"; do
    name=${package%%/*} version=${package#*/}
    if [ "$name" = "$package" ]; then
        for left in "$tree/$name" "$sources/$name"-*; do
            [ ! -e "$left" ] || { echo "unwanted $name"; break; }
        done
        continue
    fi
    if [ "$(readlink "$tree/$name/kernel-$kernel-$machine")" != "$version/$kernel/$machine" ] ||
        [ ! -e "$sources/$name-$version/dkms.conf" ] ||
        ! grep -qs " $package " "$hooks/postinst.d/so1-modules"; then
        echo "missing $name"
    fi
done

[ -e "/lib/modules/$kernel/build/Makefile" ] || echo no-headers

# Beside each package that follows the newest kernel of its kind there is one that follows its headers.
dpkg-query --show --showformat '${db:Status-Abbrev}|${Package}|${Version}|${Depends}\n' \
    'linux-image-*' 'linux-headers-*' 2>/dev/null | grep '^ii' | {
    headers='' images=''
    while IFS='|' read -r _ package version depends; do
        case $package/$depends in
        linux-headers-*) headers="$headers $package " ;;
        */linux-image-[0-9]*) images="$images ${package#linux-image-}=$version" ;;
        esac
    done
    for image in $images; do
        case $headers in
        *" linux-headers-${image%%=*} "*) ;;
        *) echo "follower ${image%%=*} ${image#*=}" ;;
        esac
    done
}

getent group "$group" | cut -d: -f3 | sed 's/^/group /'
