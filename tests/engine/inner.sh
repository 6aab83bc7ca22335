#!/bin/sh
# inner.sh ROOT WORK COMMAND...: the first process of new net, mount, uts, ipc and pid namespaces.
# ROOT becomes / by way of an overlay in memory, so that it stays as it was made and several engines can share it.
# WORK stays where it is: bind mounts of containers are looked up here. SIGTERM goes to COMMAND; its end ends all.
set -eu
root=$1 work=$2
shift 2
mount --make-rprivate /
upper=$(mktemp -d)
mount -t tmpfs -o mode=0755 tmpfs "$upper"
mkdir "$upper/upper" "$upper/work" "$upper/merged"
mount -t overlay -o "lowerdir=$root,upperdir=$upper/upper,workdir=$upper/work" overlay "$upper/merged"
new=$upper/merged
mount -t proc proc "$new/proc"
mount --rbind /sys "$new/sys"
mount --rbind /dev "$new/dev"
mkdir -p "$new/$work" "$new/oldroot"
mount --bind "$work" "$new/$work"
echo "nameserver 10.0.2.3" > "$new/etc/resolv.conf" # slirp4netns answers, as this machine would
hostname engine
printf '127.0.0.1 localhost engine\n::1 localhost\n' > "$new/etc/hosts"
cd "$new"
pivot_root . oldroot
cd /
umount -l /oldroot
mount --make-rshared /
mount -t tmpfs -o mode=0755 tmpfs /run
ip link set lo up
sysctl -qw net.ipv4.ip_forward=1
for _ in $(seq 100); do
	ip route | grep -q default && break
	sleep 0.1
done
trap 'kill -TERM $command' TERM
"$@" &
command=$!
# a signal ends `wait` as well; it is over when the command has gone
while kill -0 $command 2> /dev/null; do wait $command || true; done
