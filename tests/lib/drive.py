"""A real courier at the end of a link whose other end is ours (tests/system/courier_drive.c says how).

    with Drive(resolver=dns.address, helo="me.test") as courier:
        courier.say("dial 1 mx.test 25 mx")
        up = courier.wait("up 1")            # the first line, from now on, that begins so: a list of its words

After the block courier.status is "exit 0" or how else it ended.
"""
import os
import re
import select
import subprocess
import time

WAIT = 15


class Line(list):
    """Words of a report; what stood behind " | " is .text."""

    def __init__(self, line):
        head, _, self.text = line.partition(" | ")
        super().__init__(head.split())
        self.at = time.monotonic()


class Drive:
    def __init__(self, **setup):
        self.setup = setup
        self.lines = []
        self.status = None
        self._rest = b""

    def __enter__(self):
        program = os.path.join(os.environ["ABIDE_TREE"], "tests", "system", "courier_drive")
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = int(self.wait("pid")[1])
        if self.setup:
            self.say("setup " + " ".join(f"{k}={v}" for k, v in self.setup.items()))
        return self

    def __exit__(self, *exception):
        try:
            if self.process.poll() is None:
                self.say("end")
            self.status = self.end()
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()

    def say(self, *lines):
        try:
            self.process.stdin.write("".join(line + "\n" for line in lines).encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass

    def end(self):
        """How the courier ended; waits for it."""
        if self.status is None:
            line = self.take(lambda l: l[0] in ("exit", "signal"), WAIT)
            self.status = " ".join(line) if line else "no end"
        return self.status

    def wait(self, head, timeout=WAIT):
        """The first report not taken yet that begins with these words."""
        words = head.split()
        line = self.take(lambda l: l[:len(words)] == words, timeout)
        if line is None:
            raise TimeoutError(f"no '{head}' in {timeout} s; there is {self.lines}")
        return line

    def take(self, good, timeout):
        deadline = time.monotonic() + timeout
        while True:
            for i, line in enumerate(self.lines):
                if good(line):
                    return self.lines.pop(i)
            if not self._fill(deadline - time.monotonic()):
                return None

    def collect(self, head, count, timeout=WAIT):
        return [self.wait(head, timeout) for _ in range(count)]

    def quiet(self, seconds=0.3):
        """Nothing more is reported in this time."""
        deadline = time.monotonic() + seconds
        while self._fill(deadline - time.monotonic()):
            pass
        return self.lines == []

    def _fill(self, timeout):
        """Reads more reports. False: none came, or it has ended."""
        if timeout <= 0 or not select.select([self.process.stdout], [], [], timeout)[0]:
            return False
        data = os.read(self.process.stdout.fileno(), 1 << 16)
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.lines += [Line(line.decode("latin-1")) for line in lines]
        return bool(data)

    def memory_kb(self):
        with open(f"/proc/{self.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))

    def ticks(self):
        """Processor time used."""
        with open(f"/proc/{self.pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])
