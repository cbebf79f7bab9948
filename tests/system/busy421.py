"""421 at each point of the conversation, by one MX host and by the first of two, with PIPELINING and without: nobody is lost or
given two copies, the second host is asked at once, the only one after a pause, and the dialogue stays correct."""
import os
import sys
import time

sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
from lib import netns, tap
from lib.abide import Abide
from lib.clock import library
from lib.dnsd import Dnsd
from lib.smtpd import CAPS, Smtpd

FIRST, SECOND = "198.18.0.10", "198.18.0.11"
RCPTS = ["r1@x.test", "r2@x.test", "r3@x.test"]
WORDS = "421 4.3.2 Service not available, closing transmission channel"
FEW_WORDS = "421 no"
PAUSE = (120, 132)              # seconds: a host in trouble is called again after two minutes, with the jitter upwards
SOON = 3

POINTS = {
    "banner": {"at": "banner"},
    "EHLO": {"at": "ehlo"},
    "MAIL": {"at": "mail"},
    "the first RCPT": {"at": "rcpt", "rcpt": "r1@*"},
    "the middle RCPT": {"at": "rcpt", "rcpt": "r2@*"},
    "the last RCPT": {"at": "rcpt", "rcpt": "r3@*"},
    "DATA": {"at": "data"},
    "within the body": {"at": "body"},
    "the dot": {"at": "dot"},
    "nothing, before MAIL": {"at": "idle", "state": "start"},
    "nothing, within the transaction": {"at": "idle", "state": "mail"},
}
BODY = b"From: a@client.test\nTo: r1@x.test\nSubject: 421\n\n" + b"a line of some length, so that the body takes a while\n" * 2000


class World:
    """One or two MX hosts, the first of which is told what to do; a daemon in virtual time."""

    def __init__(self, hosts, rules, pipelining):
        self.clock_abide = Abide(clock=True, env={"NO_FAKE_STAT": "1"})
        caps = CAPS if pipelining else [c for c in CAPS if c != "PIPELINING"]
        rules = [{"ip": FIRST, **r} for r in rules]
        self.server = Smtpd([(FIRST, 25), (SECOND, 25)], clock=self.clock_abide.clock, rules=rules, caps=caps)
        names = [(10 * (i + 1), f"mx{i + 1}.x.test") for i in range(hosts)]
        self.dns = Dnsd({"x.test": {"MX": names}, "mx1.x.test": {"A": [FIRST]}, "mx2.x.test": {"A": [SECOND]}})

    def __enter__(self):
        self.dns.__enter__()
        self.server.start()
        self.abide = self.clock_abide
        self.abide.configure(resolver=self.dns.address)
        return self

    def __exit__(self, *exception):
        self.abide.close()
        self.server.stop()
        self.dns.__exit__()

    def submit(self):
        r = self.abide.submit("-f", "a@client.test", *RCPTS, data=BODY)
        assert r.status == 0, r

    def calls(self):
        """[(address, virtual time)]"""
        return [(c["ip"], c["t"]) for c in self.server.record.connections()]

    def told(self):
        """When the 421 was said."""
        return [e["t"] for e in self.server.record.find("reply") if e["text"].startswith("421")]

    def delivered(self):
        return self.abide.spool.empty() and self.server.record.copies(key=lambda m: None)

    def check(self, t, name, messages=1):
        copies = self.server.record.copies(key=lambda m: m.header("Message-ID"))
        t.equal((sorted(copies.values()), len(copies)), ([1] * 3 * messages, 3 * messages), f"{name}: one copy each", copies)
        t.equal(self.server.record.violations(), [], f"{name}: a correct dialogue", self.server.record.commands())
        t.equal((self.abide.log("**"), self.abide.spool.dead()), ([], []), f"{name}: nobody is told of a failure")


def two_hosts(t, point, pipelining, words):
    name = f"421 to {point}, two hosts{'' if pipelining else ', no PIPELINING'}{'' if words == WORDS else ', few words'}"
    with World(2, [{**POINTS[point], "reply": words}], pipelining) as w:
        w.abide.start()
        began = time.monotonic()
        w.submit()
        try:
            w.abide.wait_for(w.delivered, 10, "delivery by the second host")
        except TimeoutError as e:
            t.ok(False, f"{name}: the second host is asked at once", e, w.calls())
            return
        t.ok(time.monotonic() - began < SOON, f"{name}: the second host is asked at once")
        t.equal([ip for ip, _ in w.calls()], [FIRST, SECOND], f"{name}: one call to each")
        w.check(t, name)


def one_host(t, point, pipelining, words):
    name = f"421 to {point}, one host{'' if pipelining else ', no PIPELINING'}{'' if words == WORDS else ', few words'}"
    with World(1, [{**POINTS[point], "reply": words, "times": 1}], pipelining) as w:
        w.abide.start()
        w.submit()
        w.abide.wait_for(w.told, 10, "the 421")
        w.abide.settle(0.1)
        t.equal(len(w.abide.spool.cur()), 1, f"{name}: it waits", w.abide.log_tail())
        w.abide.advance_to(w.told()[0] + PAUSE[0] - 1)
        w.abide.settle(0.1)
        t.equal(len(w.calls()), 1, f"{name}: nobody is called within the pause", w.calls())
        w.abide.advance_to(w.told()[0] + PAUSE[1] + 1)
        try:
            w.abide.wait_for(w.delivered, 10, "delivery after the pause")
        except TimeoutError as e:
            t.diag(e)
        t.equal(len(w.calls()), 2, f"{name}: it is called again after two minutes, and takes all", w.calls())
        w.check(t, name)


def between(t, hosts, pipelining, delay):
    """Unasked for behind a delivered message, with the next one under way or not yet there."""
    name = f"421 between messages, {hosts} host{'s' * (hosts - 1)}{'' if pipelining else ', no PIPELINING'}{', idle' if delay else ''}"
    with World(hosts, [{"at": "idle", "state": "between", "reply": WORDS, "times": 1, "delay": delay}], pipelining) as w:
        a = w.abide
        w.submit()
        if not delay:
            w.submit()
        a.start()
        a.wait_for(lambda: w.told() and a.spool.empty() if delay else w.told(), 10, "the 421")
        if delay:
            a.settle(0.1)
            w.submit()
        a.wait_for(w.delivered, 10, "delivery of the second")
        t.equal([ip for ip, _ in w.calls()], [FIRST, FIRST], f"{name}: the same host is called again, at once")
        w.check(t, name, 2)


def test(t):
    if library() is None:
        tap.skip_all("libfaketime is not installed")
    for point in POINTS:
        for pipelining in True, False:
            two_hosts(t, point, pipelining, WORDS)
            one_host(t, point, pipelining, WORDS)
        two_hosts(t, point, True, FEW_WORDS)
    for pipelining in True, False:
        for hosts in 1, 2:
            between(t, hosts, pipelining, 0)
            between(t, hosts, pipelining, 0.2)


netns.enter()
tap.main(test)
