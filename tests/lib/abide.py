"""abide on a private spool, for system tests: the real programs, their files, their processes.

    with Abide({"relay": "127.0.0.1:2525"}, clock=True) as a:
        a.start()                                       # abided; also a.once(), a.until_empty()
        r = a.submit("-t", data=b"To: b@y.test\n\nhi\n")  # r.status, r.out, r.err, r.seconds
        a.wait_for(lambda: a.log("=>"), 10, "a delivery")
        a.advance(300)                                  # virtual time, and a nudge
        a.kill("courier")
        a.spool.cur(), a.spool.trail(id)                # lib/spool.py

The programs are those of $ABIDE_BUILD (default: build/ of the source tree). All that was started, also what detached
itself, ends with the block or with the test; ABIDE_KEEP=1 leaves the files and says where they are.
"""
import atexit
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time

from lib import mainlog
from lib.clock import Clock
from lib.spool import Spool

HERE = os.path.dirname(os.path.abspath(__file__))
DEFAULTS = {"hostname": "client.test", "spooler": "off", "log_level": "debug"}
MARK = "ABIDE_TEST"             # in the environment of everything we start
PATIENCE = 60                   # seconds for a program that should end by itself, unless the caller says otherwise


class Result:
    """How a program ended: .status (negative: by that signal), .out, .err (bytes), .seconds."""

    def __init__(self, status, out, err, seconds):
        self.status, self.out, self.err, self.seconds = status, out, err, seconds

    def __repr__(self):
        return f"status {self.status} after {self.seconds:.2f} s, stdout {self.out[:500]!r}, stderr {self.err[:1000]!r}"


class Abide:
    def __init__(self, config=None, clock=None, env=None, programs=None):
        """CONFIG: {name: value, or a list of values for several lines, or None for no line}, over DEFAULTS.
        CLOCK: True, or a Clock shared with others: the programs live in virtual time. ENV: more of the environment."""
        self.programs = os.path.abspath(programs or os.environ.get("ABIDE_BUILD") or os.path.join(HERE, os.pardir, os.pardir, "build"))
        self.top = tempfile.mkdtemp(prefix="abide-", dir=os.environ.get("ABIDE_TMP") or None)
        os.chmod(self.top, 0o755)
        self.spool = Spool(os.path.join(self.top, "spool"))
        os.mkdir(self.spool.path, 0o700)
        self.conf = os.path.join(self.top, "abide.conf")
        self.logfile = os.path.join(self.top, "log")
        self.clock = Clock(os.path.join(self.top, "clock")) if clock is True else clock
        self.mark = secrets.token_hex(8)
        self.daemon = None
        self.started = []               # everything, to be reaped
        self._env = env or {}
        self.config = {"spool": self.spool.path, "log": self.logfile, **DEFAULTS}
        self.configure(**(config or {}))
        atexit.register(self.close)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    # ---- configuration and environment

    def configure(self, **config):
        """Changes lines of the configuration; the file is replaced at once."""
        self.config.update(config)
        lines = []
        for name, value in self.config.items():
            values = value if isinstance(value, (list, tuple)) else [] if value is None else [value]
            lines += [f"{name} {v}\n" for v in values]
        with open(self.conf + ".new", "w") as f:
            f.writelines(lines)
        os.rename(self.conf + ".new", self.conf)

    def environment(self, more=None):
        kept = {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS") or k in ("PATH", "HOME", "TMPDIR")}
        return {**kept, "TZ": "UTC", "LC_ALL": "C", "ABIDE_CONF": self.conf, MARK: self.mark,
                **(self.clock.env() if self.clock else {}), **self._env, **(more or {})}

    def now(self):
        return self.clock.now() if self.clock else time.time()

    # ---- programs

    def popen(self, name, *arguments, env=None, **options):
        p = subprocess.Popen([os.path.join(self.programs, name), *arguments], env=self.environment(env), start_new_session=True, **options)
        self.started.append(p)
        return p

    def run(self, name, *arguments, data=b"", env=None, seconds=PATIENCE, **options):
        """Runs a program to its end. TimeoutError, and its death, when that takes too long."""
        before = time.monotonic()
        p = self.popen(name, *arguments, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        try:
            out, err = p.communicate(data, seconds)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            out, err = p.communicate()
            raise TimeoutError(f"{name} {' '.join(arguments)}: not within {seconds} s; stderr {err[-2000:]!r}\n{self.log_tail()}") from None
        finally:
            self.started.remove(p)
        return Result(p.returncode, out, err, time.monotonic() - before)

    def submit(self, *arguments, data=b"Subject: test\n\nhello\n", name="sendmail", **options):
        """Calls sendmail. OPTIONS: env, seconds, and subprocess's (user=65534, cwd=...)."""
        return self.run(name, *arguments, data=data, **options)

    def start(self, *arguments, seconds=20):
        """abided in its daemon's mode; returns when it listens."""
        if self.daemon is not None and self.daemon.poll() is None:
            raise RuntimeError("abided runs already")
        with open(os.path.join(self.top, "stderr"), "ab") as stderr:
            self.daemon = self.popen("abided", *arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr)
        self.wait_for(self.spool.listens, seconds, "abided listening")
        return self.daemon.pid

    def stop(self, seconds=PATIENCE, number=signal.SIGTERM):
        """Ends the daemon in good order; its exit status."""
        self.daemon.send_signal(number)
        try:
            status = self.daemon.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"abided did not end within {seconds} s of signal {number}\n{self.log_tail()}") from None
        self.forget_daemon()
        return status

    def forget_daemon(self):
        self.started.remove(self.daemon)
        self.daemon = None

    def restart(self):
        self.stop()
        return self.start()

    def once(self, *arguments, **options):
        return self.run("abided", "--once", *arguments, **options)

    def until_empty(self, *arguments, **options):
        return self.run("abided", "--until-empty", *arguments, **options)

    def tool(self, *arguments, **options):
        return self.run("abide", *arguments, **options)

    # ---- processes

    def processes(self):
        """{pid: command line as a list} of all that runs for us."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as f:
                    ours = f"{MARK}={self.mark}".encode() in f.read().split(b"\0")
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    line = f.read().decode(errors="replace").split("\0")[:-1]
            except OSError:
                continue
            if ours and line:
                found[int(pid)] = line
        return found

    def pids(self, who):
        """Of the "keeper" (who says in `lock` that it works on the spool), the "courier" (one may be on its way out while
        the next begins), another program's name, or "all"."""
        running = self.processes()
        if who == "all":
            return sorted(running)
        if who == "keeper":
            holder = int((self.spool.holder() or ["0"])[0])
            return [holder] if running.get(holder, [""])[1:2] != ["--courier"] and holder in running else []
        return sorted(pid for pid, line in running.items()
                      if (line[1:2] == ["--courier"] if who == "courier" else os.path.basename(line[0]) == who))

    def kill(self, who, number=signal.SIGKILL):
        """Sends the signal to those processes; returns their pids. SIGKILL waits until they are gone; start() may then
        follow where the daemon was among them."""
        killed = self.pids(who)
        for pid in killed:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        if number == signal.SIGKILL:
            if self.daemon is not None and self.daemon.pid in killed:
                self.daemon.wait(PATIENCE)
                self.forget_daemon()
            end = time.monotonic() + PATIENCE
            while set(killed) & set(self.processes()) and time.monotonic() < end:
                time.sleep(0.001)
        return killed

    def usage(self, pid):
        """(CPU seconds so far, resident bytes, proportional bytes) of a process."""
        with open(f"/proc/{pid}/stat") as f:
            words = f.read().rpartition(")")[2].split()
        with open(f"/proc/{pid}/smaps_rollup") as f:
            memory = {line.split()[0]: int(line.split()[1]) * 1024 for line in f if line.split()[-1] == "kB"}
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK"), memory["Rss:"], memory["Pss:"]

    # ---- waiting and time

    def wait_for(self, condition, seconds=20, what="the condition"):
        """Until CONDITION() is true (looked at every 10 ms of real time); its value. TimeoutError with the end of the log
        when it does not come, or at once when the daemon has died meanwhile."""
        end = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            if self.daemon is not None and self.daemon.poll() is not None and not condition():
                raise TimeoutError(f"{what}: abided ended with {self.daemon.returncode}\n{self.log_tail()}")
            if time.monotonic() > end:
                raise TimeoutError(f"{what}: not within {seconds} s\n{self.log_tail()}")
            time.sleep(0.01)

    def advance(self, seconds):
        """Moves the clock on, and makes a running spooler look at it. Only while no connection is open: see lib/clock.py."""
        self.clock.advance(seconds)
        self.spool.wake()

    def advance_to(self, when):
        self.clock.advance_to(when)
        self.spool.wake()

    def settle(self, quiet=0.3, seconds=PATIENCE):
        """Until nothing was logged for QUIET seconds of real time, and new/ is empty: what was due has been done."""
        seen, since = None, 0.0

        def calm():
            nonlocal seen, since
            state = os.path.getsize(self.logfile) if os.path.exists(self.logfile) else 0, self.spool.new()
            if state != seen:
                seen, since = state, time.monotonic()
            return not state[1] and time.monotonic() - since >= quiet
        self.wait_for(calm, seconds, "a quiet moment")

    def live(self, condition, most, step=60, quiet=0.3):
        """Lets virtual time go by in steps of STEP seconds, at most MOST in all, until CONDITION(); True if it came.
        A paused destination shows in no file's name: who waits for one moves in steps, not to spool.next_due()."""
        end = self.now() + most
        while not condition() and self.now() < end:
            self.advance(step)
            self.settle(quiet)
        return bool(condition())

    # ---- what it said

    def log(self, flag=None, id=None):
        """[mainlog.Line], all or those with that flag ("=>") or ID."""
        return [line for line in mainlog.read(self.logfile) if (flag is None or line.flag == flag) and (id is None or line.id == id)]

    def log_tail(self, lines=40):
        told = []
        for path in (self.logfile, os.path.join(self.top, "stderr")):
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as f:
                    told += f.read().splitlines()[-lines:]
        return "\n".join(told)

    # ---- the end

    def close(self):
        atexit.unregister(self.close)
        end = time.monotonic() + 10
        while self.processes() and time.monotonic() < end:      # again and again: some fork meanwhile
            self.kill("all")
            for p in self.started:
                p.poll()
            time.sleep(0.01)
        for p in self.started:
            p.wait(10)
        self.started, self.daemon = [], None
        if self.clock:
            Clock.sweep()
        if os.environ.get("ABIDE_KEEP"):
            print(f"# kept: {self.top}", flush=True)
        else:
            shutil.rmtree(self.top, ignore_errors=True)
