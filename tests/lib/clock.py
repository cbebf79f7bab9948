"""Virtual time for whole processes: libfaketime, steered by a file that holds an offset.

    clock = Clock(os.path.join(tmp, "clock"))       # a file; starts at +0
    subprocess.run(..., env={**os.environ, **clock.env()})
    clock.advance(300)

Every process that has clock.env() sees the offset at its next look at the time; so does lib/smtpd.py, which reads the
same file by itself. Several processes, in several roots, can share one file (bind-mount its directory: the file is
replaced by rename, because libfaketime reads it at each call and an empty moment would be a jump to real time).

What Debian 12's libfaketime 0.9.10 does with FAKETIME_NO_CACHE=1 and an offset, tried on amd64:

- Faked: CLOCK_REALTIME, _COARSE, TAI, MONOTONIC, MONOTONIC_COARSE, MONOTONIC_RAW, BOOTTIME, time(), gettimeofday().
  The CPU clocks are real. 5 us a call.
- MONOTONIC and BOOTTIME do not only move along: they *equal* the fake wall clock (seconds since 1970, not since boot).
  The difference between wall and boot clock is therefore always 0: whoever stores it (abide's `lock` does) must be
  under libfaketime from the first run of a spool on, and never sees a jump of the wall clock. For such a jump use
  Clock(path, boot=False): then only the wall clock is moved.
- Time-outs of poll, ppoll, select, epoll_wait, epoll_pwait, nanosleep run in real time under an offset, and a move of
  the offset wakes nobody: after advance() somebody has to poke the sleeper (abided: a line into `wake`). When it wakes,
  everything that became due meanwhile is due, its time-outs of connections included: advance only while none is open.
- A factor ("+0 x10") shortens those time-outs too, but epoll_pwait2 and clock_nanosleep ignore it, and each process
  counts from its own start: two processes do not agree on the time. Not used here.
- timerfd with TFD_TIMER_ABSTIME never fires: no EVENT_BASE_FLAG_PRECISE_TIMER / EVENT_PRECISE_TIMER with libevent.
- stat() and fstat() show times moved by the offset, statx() does not; what utimensat() is given is stored as it is. So a
  file touched with UTIME_NOW always looks as if it had been touched just now, however far the clock went since. A
  program that writes its own idea of the time by utimensat wants NO_FAKE_STAT=1: Clock.env(stat=False). And who watches
  a file's mtime sees it change at each move of the offset: abided reads an unchanged configuration anew then.
- The file cannot be read (chroot, landlock): real time from then on, without a word. Put the clock where the process can
  see it, or do not sandbox it.
- Each process makes a semaphore and a shared memory object in /dev/shm named by its pid, and leaves them there when it
  is killed. netns.enter() gives the test a /dev/shm of its own; elsewhere Clock.sweep() removes what dead ones left.
- With AddressSanitizer: ASAN_OPTIONS=verify_asan_link_order=0, which env() adds. (libasan preloaded first: hangs.)
"""
import glob
import os
import time


def library():
    """The path of libfaketime, or None. $ABIDE_FAKETIME names another."""
    named = os.environ.get("ABIDE_FAKETIME")
    for pattern in [named] if named else ["/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib*/faketime/libfaketime.so.1",
                                          "/usr/local/lib*/faketime/libfaketime.so.1"]:
        for path in sorted(glob.glob(pattern)):
            return path
    return None


def read_offset(path):
    """Seconds in a libfaketime timestamp file of the form `+N`; no file is 0."""
    try:
        with open(path) as f:
            return float(f.read().split()[0])
    except FileNotFoundError:
        return 0.0


class Clock:
    def __init__(self, path, boot=True):
        self.path = os.path.abspath(path)
        self.boot = boot
        if not os.path.exists(self.path):
            self.set(0)

    @property
    def offset(self):
        return read_offset(self.path)

    def now(self):
        return time.time() + self.offset

    def set(self, offset):
        temporary = f"{self.path}.{os.getpid()}"
        with open(temporary, "w") as f:
            f.write(f"{offset:+.3f}\n")
        os.chmod(temporary, 0o644)
        os.rename(temporary, self.path)

    def advance(self, seconds):
        self.set(self.offset + seconds)

    def advance_to(self, when):
        """Forward to that second of virtual time; never back."""
        self.advance(max(0.0, when - self.now()))

    def env(self, stat=True, path=None, preload=None):
        """What to add to the environment. PATH, PRELOAD: where file and library lie as seen by the process."""
        preload = preload or library()
        if preload is None:
            raise FileNotFoundError("libfaketime is not installed")
        env = {"LD_PRELOAD": preload, "FAKETIME_TIMESTAMP_FILE": path or self.path, "FAKETIME_NO_CACHE": "1"}
        if not self.boot:
            env["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"
        if not stat:
            env["NO_FAKE_STAT"] = "1"
        if os.environ.get("ABIDE_SANITIZERS") == "1":
            env["ASAN_OPTIONS"] = f"{os.environ.get('ASAN_OPTIONS', '')}:verify_asan_link_order=0".lstrip(":")
        return env

    @staticmethod
    def sweep():
        """Removes what killed processes of ours left in /dev/shm."""
        for path in glob.glob("/dev/shm/faketime_shm_*") + glob.glob("/dev/shm/sem.faketime_sem_*"):
            pid = path.rpartition("_")[2]
            if pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
                try:
                    os.unlink(path)
                except OSError:
                    pass
