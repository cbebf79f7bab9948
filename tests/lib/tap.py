"""TAP on stdout, as automake's driver reads it.

    def test(t):
        t.ok(queue == [], "the queue is empty", queue)
        t.equal(status, 0, "exit 0")

    tap.main(test)

An exception in the body is a failed test with its traceback as diagnostic; the plan comes last, so nobody counts
by hand. main() exits 0 when nothing failed, else 1.
"""
import os
import signal
import sys
import threading
import traceback


class Tap:
    def __init__(self):
        self.count = 0
        self.failed = 0
        self._lock = threading.Lock()

    def _line(self, good, name, extra=""):
        with self._lock:
            self.count += 1
            self.failed += not good
            name = name.replace("#", "\\#").replace("\n", " ")
            print(f"{'' if good else 'not '}ok {self.count} - {name}{extra}", flush=True)
        return good

    def diag(self, *what):
        for line in " ".join(str(w) for w in what).splitlines() or [""]:
            print(f"# {line}", flush=True)

    def ok(self, good, name, *diagnostic):
        """One point. The diagnostic is printed only when it failed; a callable is called then."""
        self._line(bool(good), name)
        if not good:
            for d in diagnostic:
                self.diag(d() if callable(d) else d)
        return bool(good)

    def equal(self, got, want, name, *diagnostic):
        return self.ok(got == want, name, f"got  {got!r:.2000}", f"want {want!r:.2000}", *diagnostic)

    def skip(self, name, why):
        """A point that cannot be looked at here. In CI there is no such thing."""
        if in_ci():
            self._line(False, name)
            self.diag(f"would be skipped ({why}), and CI must not skip")
        else:
            self._line(True, name, f" # SKIP {why}")

    def finish(self):
        print(f"1..{self.count}", flush=True)
        return 1 if self.failed else 0


def in_ci():
    return os.environ.get("CI", "") not in ("", "0", "false")


def skip_all(why):
    """Ends a test that cannot run at all: a skip, in CI a failure."""
    if in_ci():
        print(f"Bail out! would be skipped ({why}), and CI must not skip", flush=True)
        sys.exit(1)
    print(f"1..0 # SKIP {why}", flush=True)
    sys.exit(0)


def main(body):
    t = Tap()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))     # so that what is to be cleaned up is
    try:
        body(t)
    except SystemExit:
        raise
    except BaseException:
        t.ok(False, "no exception", traceback.format_exc())
    sys.exit(t.finish())
