"""The surroundings of the system tests: the private world, the clock, and abide on a spool of its own. Shows that what a
test is told is true, and that nothing of it is left at the end."""
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
from lib import mainlog, netns, tap
from lib.abide import MARK, Abide
from lib.clock import Clock, library
from lib.smtpd import Smtpd
from lib.spool import Event

netns.enter()
import socket

MX = "198.18.0.10"
WAIT = 10


def test_world(t):
    def outcome(address):
        before = time.monotonic()
        try:
            socket.create_connection((address, 25), 0.5).close()
            return "connected"
        except TimeoutError:
            return "silence"
        except OSError as e:
            return e.strerror if time.monotonic() - before < 0.4 else f"late: {e}"

    families = [("198.18.7.7", "203.0.113.9")] + ([("2001:db8:1::7", "2001:db8:dead::9")] if netns.has_ipv6() else [])
    for ours, silent in families:
        t.equal(outcome(ours), "Connection refused", f"{ours} is ours, and nobody listens")
        with Smtpd([(ours, 25)]):
            t.equal(outcome(ours), "connected", f"{ours} answers, without having been set up")
        t.equal(outcome(silent), "silence", f"{silent} swallows everything")
    t.equal(outcome("192.0.2.9"), "No route to host", "192.0.2.9 is unreachable")
    t.equal(outcome("8.8.8.8"), "Network is unreachable", "there is no way out")
    listed = netns.run("ip", "-o", "addr", "show", "lo").stdout
    netns.add_address("198.18.0.99")
    t.ok("198.18.0.99" not in listed and "198.18.0.99" in netns.run("ip", "-o", "addr", "show", "lo").stdout, "add_address() is seen by getifaddrs()")
    netns.cover("/etc/hosts", "198.18.0.10 mx.test\n")
    t.equal(socket.gethostbyname("mx.test"), "198.18.0.10", "cover() shows a file of ours in the place of another")


def test_world_ends(t):
    """A world whose test is killed takes everything along."""
    inner = "import subprocess, time; subprocess.Popen(['sleep', '4242']); print('up', flush=True); time.sleep(60)"
    env = {k: v for k, v in os.environ.items() if not k.startswith("ABIDE_NETNS")}
    p = subprocess.Popen([sys.executable, "-B", "-c", f"import sys; sys.path.insert(0, {os.path.dirname(netns.__file__) + '/..'!r}); "
                          f"from lib import netns; netns.enter([sys.executable, '-B', '-c', {inner!r}])"], env=env, stdout=subprocess.PIPE, text=True)
    t.equal(p.stdout.readline(), "up\n", "a world within a world")
    def sleepers():
        return [pid for pid in filter(str.isdigit, os.listdir("/proc")) if command(pid) == ["sleep", "4242"]]
    t.ok(within(WAIT, sleepers), "and its processes")
    p.kill()
    p.wait()
    p.stdout.close()
    t.ok(within(WAIT, lambda: not sleepers()), "kill -9 of the test ends them")


def within(seconds, condition):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def command(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as f:
            return f.read().split("\0")[:-1]
    except OSError:
        return []


def test_clock(t):
    if library() is None:
        return t.skip("the clock", "libfaketime is not installed")
    with tempfile.TemporaryDirectory() as tmp:
        look = "import time; r = [time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)]; print(*r)"
        real_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
        for boot in (True, False):
            clock = Clock(os.path.join(tmp, f"clock{boot}"), boot)
            clock.advance(86400)
            clock.advance(3600.5)
            out = subprocess.run([sys.executable, "-c", look], env={**os.environ, **clock.env()}, capture_output=True, text=True, timeout=20).stdout
            wall, since_boot = map(float, out.split())
            t.ok(abs(wall - time.time() - 90000.5) < 10 and abs(wall - clock.now()) < 10, "a process sees the clock", out)
            if boot:
                t.ok(abs(since_boot - wall) < 1, "its boot clock goes with it, and counts from 1970", out)
            else:
                t.ok(abs(since_boot - real_boot) < 60, "or stays behind", out)


def test_formats(t):
    line = mainlog.Line('2026-11-21 03:33:34 1xUbm5-74YPQ9-2Z => you@box.test R=relay T=smtp H=198.18.0.10 [198.18.0.10] C="250 2.0.0 ok 1.2"')
    t.equal((line.t, line.id, line.flag, line.address, line.fields["R"], line.fields["C"]),
            (1795232014, "1xUbm5-74YPQ9-2Z", "=>", "you@box.test", "relay", "250 2.0.0 ok 1.2"), "a line about a message")
    line = mainlog.Line('2026-11-21 03:33:34 site=mx.test host=mx.test cause=rate_limited rule="too fast" reply="421 x"')
    t.equal((line.id, line.flag, line.fields["cause"], line.fields["rule"]), ("", "", "rate_limited", "too fast"), "a line of keys and values")
    t.equal(mainlog.Line("2026-11-21 03:33:34 1xUbm5-74YPQ9-2Z Completed").flag, "Completed", "Completed")
    t.equal(Event("1795231705894 deferred 2 greylisted due=1795232013 n=0 first=0 last=0 grey=1795231705893:1 host=mx 450 4.2.0 later"),
            {"t": 1795231705894, "what": "deferred", "n": 2, "cause": "greylisted", "due": 1795232013, "count": 0, "first": 0, "last": 0,
             "grey": "1795231705893:1", "host": "mx", "text": "450 4.2.0 later"}, "a line of a trail")
    t.equal(Event("17 delivered 1 mx 250 ok"), {"t": 17, "what": "delivered", "n": 1, "host": "mx", "text": "250 ok"}, "another")


def test_abide(t):
    """A message through a greylisting, with a kill on the way."""
    if library() is None:
        return t.skip("abide in virtual time", "libfaketime is not installed")
    with Abide({"relay": f"{MX}:25"}, clock=True) as a, Smtpd([(MX, 25)], clock=a.clock, greylist={"delay": 300}) as server:
        t.equal((a.spool.listens(), a.processes()), (False, {}), "nothing runs yet")
        r = a.submit("-f", "me@x.test", "you@y.test", data=b"Subject: x\n\n.dot\n")
        t.equal((r.status, len(a.spool.new())), (0, 1), "submit()", r)
        id = a.spool.new()[0]
        stored = a.spool.message(id)
        t.equal((stored.sender, stored.recipients, stored.data[-6:]), ("me@x.test", ["you@y.test"], b"\n.dot\n"), "what lies in the spool can be read")
        a.start()
        t.ok(a.spool.listens() and a.pids("keeper") == [a.daemon.pid], "start()", a.processes)
        a.wait_for(lambda: a.log("==") and a.spool.trail(id) and a.spool.cur()[0].letter == "g", 20, "a deferral")
        waiting = a.spool.cur()[0]
        t.equal((waiting.domain, waiting.id), ("y.test", id), "a name in cur/", waiting)
        t.ok(300 <= waiting.due - a.now() < 400 and a.spool.trail(id)[-1]["cause"] == "greylisted", "its due time, its trail", a.spool.trail(id))
        courier = a.pids("courier")
        t.equal((a.kill("courier"), a.pids("courier")), (courier, []) if courier else ([], []), "kill() of the courier")
        t.equal(a.kill("keeper") != [] and a.daemon, None, "and of the keeper")
        a.clock.advance_to(a.spool.next_due() + 1)
        a.start()
        message = server.record.wait_messages(1, 20)[0]
        t.equal((message.sender, message.recipients, message.body), ("me@x.test", ["you@y.test"], b".dot\n"), "delivered after its time")
        a.wait_for(a.spool.empty, WAIT, "an empty spool")
        t.ok(a.log("=>", id) and a.log("=>", id)[0].t - a.log("==", id)[0].t >= 300, "the log tells it in virtual time")
        t.equal(server.record.violations(), [], "the server has nothing to complain of")
        try:
            a.wait_for(lambda: False, 0.1, "something that never happens")
        except TimeoutError as e:
            t.ok("never happens" in str(e) and "Completed" in str(e), "wait_for() gives up, with the end of the log", e)
        t.equal((a.stop(), a.wait_for(lambda: not a.processes(), WAIT, "no courier")), (0, True), "stop()")
        r = a.once()
        t.equal(r.status, 0, "once()", r)
        a.configure(relay=None, limit=["a.test connections=1", "b.test connections=2"])
        with open(a.conf) as f:
            lines = f.read().splitlines()
        t.ok("limit a.test connections=1" in lines and "limit b.test connections=2" in lines and not any(x.startswith("relay") for x in lines),
             "configure()", lines)
        a.start()
        stray = subprocess.Popen(["sleep", "4343"], env={**os.environ, MARK: a.mark})
        top = a.top
    t.equal((a.processes(), stray.wait(5), os.path.exists(top)), ({}, -signal.SIGKILL, False), "nothing is left at the end")


def test(t):
    for name, body in list(globals().items()):
        if name.startswith("test_"):
            body(t)


tap.main(test)
