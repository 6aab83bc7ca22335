#!/bin/sh
# enter.sh ROOT CHANGES USER FOLDER SOURCE=TARGET... -- COMMAND...
#
# Runs the command as USER in FOLDER, where / is ROOT with what was changed before, which CHANGES keeps. Wants a mount
# and a pid namespace of its own. The old root goes, as in a chroot the kernel lets nobody make user namespaces.
set -eu
lower=$1 changes=$2 user=$3 folder=$4
shift 4

root=$changes/root
mkdir -p "$changes/upper" "$changes/work" "$root"
mount -t overlay -o "lowerdir=$lower,upperdir=$changes/upper,workdir=$changes/work" overlay "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"

while [ "$1" != -- ]; do
    source=${1%%=*} target=$root${1#*=}
    if [ -d "$source" ]; then
        mkdir -p "$target"
    else
        mkdir -p "$(dirname "$target")"
        [ -e "$target" ] || : > "$target"
    fi
    mount --bind "$source" "$target"
    shift
done
shift

mkdir -p "$root/oldroot"
cd "$root"
pivot_root . oldroot
cd /
umount -l /oldroot
cd "$folder"
exec setpriv --reuid="$user" --regid="$user" --init-groups -- "$@"
