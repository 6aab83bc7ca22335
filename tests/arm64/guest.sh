#!/bin/sh
# In the emulated machine, as its first process: what Debian's init would do that Parley needs, then the trial, then off.
export PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=0755 tmpfs /run
echo arm64 > /proc/sys/kernel/hostname
ip link set lo up
date -s "@$(sed -n 's/.*parley.now=\([0-9]*\).*/\1/p' /proc/cmdline)" > /dev/null
cd /srv/parley || echo "no checkout"
.venv/bin/python -m tests.arm64.trial < /dev/null
sync
echo o > /proc/sysrq-trigger
sleep 60
