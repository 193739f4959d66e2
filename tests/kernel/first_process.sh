#!/bin/sh
# The first process of the kernel that tests/kernel starts: a small system around the tests, which change no file of the
# machine: /tmp is in memory.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /dev/shm && mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# A group as a service with Delegate=yes has it.
echo "+memory +cpu +pids" > /sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/given
echo $$ > /sys/fs/cgroup/given/cgroup.procs
cd "$XF_ROOT" || exit 1
"$XF_PYTHON" -c 'import fcntl, socket, struct
with socket.socket() as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sH14s", b"lo", 0x1 | 0x40, b""))  # SIOCSIFFLAGS: up, running'
XFWORKER_TEST_CONTROL_GROUPS=1 "$XF_PYTHON" -m pytest -p no:cacheprovider --color=no --tb=short -rs $(echo "$XF_TESTS" | tr , " ")
echo "the tests ended with $?"
echo o > /proc/sysrq-trigger
sleep 60
