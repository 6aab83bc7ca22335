"""Run a command that is told to stop as soon as its parent dies: `python exec.py SIGNAL PARENT_PID COMMAND...`.

A file of its own, run without site-packages in front of every process of the stack, because the kernel's parent-death
signal has to be asked for by the child, and `preexec_fn` is not safe in a parent that has threads.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    signal_number, parent_pid, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
    if os.getppid() != int(parent_pid):  # it died before the kernel was asked
        sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - a shell is not wanted


if __name__ == "__main__":
    main()
