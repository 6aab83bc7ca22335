#!/bin/busybox sh
# The first program of the emulated machine: finds both disks, makes them / and /srv, and goes on with what /srv has.
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
while read -r name; do /bin/busybox insmod "/modules/$name.ko"; done < /modules/order
for _ in 1 2 3 4 5 6 7 8 9 10; do
	[ -b /dev/vdb ] && break
	/bin/busybox sleep 1
done
/bin/busybox mount -t ext4 /dev/vda /new
/bin/busybox mount -t ext4 /dev/vdb /new/srv
for folder in proc sys dev; do /bin/busybox mount -o move "/$folder" "/new/$folder"; done
exec /bin/busybox switch_root /new /bin/sh /srv/parley/tests/arm64/guest.sh
