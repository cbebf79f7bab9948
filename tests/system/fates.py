"""One message to three recipients at each of three domains, whose servers let in, defer, refuse and break off as they like, while
the whole spooler is killed three times at random: every recipient has one fate, and one copy where that is a delivery. Two
copies only where the kill fell between the server's 250 and our record of it; they are counted. ABIDE_TEST_LONG=1 for 50 seeds."""
import collections
import os
import random
import sys
import time

sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
from lib import netns, tap
from lib.abide import Abide
from lib.dnsd import Dnsd
from lib.smtpd import Smtpd

SEEDS = range(1, (50 if os.environ.get("ABIDE_TEST_LONG") else 6) + 1)
if os.environ.get("ABIDE_TEST_SEED"):
    SEEDS = [int(os.environ["ABIDE_TEST_SEED"])]
DOMAINS = {"a.test": "198.18.0.1", "b.test": "198.18.0.2", "c.test": "198.18.0.3"}
HOME, SENDER = "198.18.0.9", "alice@home.test"
MESSAGE_ID = "<one@home.test>"
BUSY = "421 4.3.2 Service not available, closing transmission channel"
KILLS = 3
IN_DOUBT = 0.05                 # seconds from a server's 250 to a kill in which our record of it may be missing
FATES = ["yes", "yes", "later", "no", "busy", "busy at the dot"]
CONFIG = {"schedule": "1s 2s 3s", "limit": [f"{d} connections=5" for d in DOMAINS], "warn_after": "0"}


def make_rules(random_, fates):
    """What the servers say to each, for a while."""
    rules = []
    for rcpt, fate in fates.items():
        if fate == "later":
            rules.append({"at": "rcpt", "rcpt": rcpt, "reply": "450 4.2.1 the box is open elsewhere", "times": random_.randint(1, 2)})
        elif fate == "no":
            rules.append({"at": "rcpt", "rcpt": rcpt, "reply": "550 5.1.1 no such user"})
        elif fate == "busy":
            rules.append({"at": "rcpt", "rcpt": rcpt, "reply": BUSY, "times": 1})
        elif fate == "busy at the dot":
            rules.append({"at": "dot", "rcpt": rcpt, "reply": BUSY, "times": 1})
    rules += [{"at": "rcpt", "chance": 0.5, "delay": 0.02}, {"at": "dot", "chance": 0.7, "hold": 0.03}]
    return rules


class Run:
    """One seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        rcpts = [f"r{i}@{d}" for d in DOMAINS for i in (1, 2, 3)]
        self.fates = dict(zip(rcpts, self.random.sample(FATES + self.random.choices(FATES, k=3), 9)))
        self.kills = []                 # (when it began, when all were dead), monotonic
        self.restarts = 0

    def play(self):
        servers = [(ip, 25) for ip in (*DOMAINS.values(), HOME)]
        zone = {d: {"MX": [(10, f"mx.{d}")]} for d in (*DOMAINS, "home.test")}
        zone |= {f"mx.{d}": {"A": [ip]} for d, ip in (*DOMAINS.items(), ("home.test", HOME))}
        with Dnsd(zone) as dns, Abide({"resolver": dns.address, **CONFIG}, clock=True, env={"NO_FAKE_STAT": "1"}) as a, \
                Smtpd(servers, clock=a.clock, seed=self.random.random(), rules=make_rules(self.random, self.fates)) as server:
            self.submit(a)
            a.start()
            for _ in range(KILLS):
                self.kill(a, server)
            self.finish(a, server)
            self.look(a, server)

    def submit(self, a):
        rcpts = list(self.fates)
        self.random.shuffle(rcpts)
        r = a.submit("-f", SENDER, *rcpts, data=f"Message-ID: {MESSAGE_ID}\nSubject: fates\n\nhello\n".encode())
        assert r.status == 0, r
        (self.id,) = a.spool.ids()

    def kill(self, a, server):
        """At a random moment, most of them within the first tries; the clock goes on a little, so that there is work."""
        if self.random.random() < 0.5:
            a.advance(self.random.uniform(1, 60))
        moment = time.monotonic() + self.random.expovariate(1 / 0.04)
        while time.monotonic() < moment:
            time.sleep(0.001)
        began = time.monotonic()
        self.at_work = bool(server.sessions)
        killed = a.kill("all")
        self.kills.append((began, time.monotonic(), len(killed), bool(server.sessions) or self.at_work))
        a.start()

    def finish(self, a, server):
        """Time goes by until nobody is owed anything."""
        end = time.monotonic() + 40
        while not a.spool.empty() and time.monotonic() < end:
            a.advance(10)
            a.settle(0.05)
        a.advance(6 * 86400)            # a trail that a kill left behind is swept when it is old
        a.settle(0.2)
        self.left = a.spool.cur() + a.spool.new() + a.spool.hold() + a.spool.dead()
        a.stop()

    def look(self, a, server):
        self.record = server.record
        self.taken = collections.defaultdict(list)      # (recipient, message): of each copy, when its connection began, when it was answered, and how
        opened = {e["c"]: e["m"] for e in server.record.find("conn")}
        for e, m in zip(server.record.find("msg"), server.record.messages()):
            said = [r["m"] for r in server.record.find("reply", c=e["c"], at="dot") if r["m"] >= e["m"]]
            for rcpt in m.recipients:
                self.taken[rcpt, m.header("Message-ID")].append((opened[e["c"]], said[0] if said else None, e["reply"]))
        self.logged = {(line.address, line.fields.get("C")) for line in a.log("=>") + a.log("->")}
        self.reported = collections.Counter()
        for m in {m.header("Message-ID"): m for m in server.record.messages() if m.sender == ""}.values():
            for rcpt in self.fates:
                self.reported[rcpt] += m.text.count(f"Final-Recipient: rfc822; {rcpt}\n".encode())
        self.trails = os.listdir(os.path.join(a.spool.path, "trail"))
        self.tail, self.log = a.log_tail(80), a.log()

    def in_doubt(self, rcpt, opened, said, reply):
        """Did a kill end its connection before we had recorded the answer? The log's line comes just before the record."""
        unlogged = (rcpt, reply) not in self.logged
        return any(opened <= over and (said is None or unlogged or began - said < IN_DOUBT) for began, over, _, _ in self.kills)

    def excused(self, rcpt, copies):
        """A kill fell right behind each copy but the last."""
        return all(self.in_doubt(rcpt, *copy) for copy in sorted(copies, key=lambda c: c[0])[:-1])

    def failed_anew(self, rcpt):
        """Was a report written, and the spooler killed before the failure was recorded?"""
        runs = [0]
        for line in self.log:
            if " begins, " in line.text:
                runs.append(0)
            runs[-1] += line.flag == "**" and line.address == rcpt
        return max(runs) == 1

    def check(self, t, seed):
        wrong = []
        twice = [who for who, copies in self.taken.items() if len(copies) > 1]
        reports = [r for r in self.fates if self.reported[r] > 1]
        for rcpt, fate in self.fates.items():
            copies, reported = len(self.taken[rcpt, MESSAGE_ID]), self.reported[rcpt]
            good = (copies == 0 and reported >= 1) if fate == "no" else (copies >= 1 and reported == 0)
            if not good:
                wrong.append((rcpt, fate, copies, reported))
        t.equal(wrong, [], f"seed {seed}: each has the fate its server gave it", self.tail)
        t.equal([who for who in twice if not self.excused(who[0], self.taken[who])], [], f"seed {seed}: no second copy that no kill explains",
                self.kills, dict(self.taken), self.tail)
        t.equal([r for r in reports if not self.failed_anew(r)], [], f"seed {seed}: no second report that no kill explains", self.tail)
        t.equal((self.left, self.trails), ([], []), f"seed {seed}: nothing is left", self.tail)
        t.equal(self.record.violations(), [], f"seed {seed}: a correct dialogue")
        return len(twice), len(reports), sum(n for _, _, n, _ in self.kills), sum(w for *_, w in self.kills)


def test(t):
    totals = collections.Counter()
    began = time.monotonic()
    for seed in SEEDS:
        run = Run(seed)
        run.play()
        second, reports, processes, at_work = run.check(t, seed)
        totals.update(seeds=1, second_copies=second, second_reports=reports, kills=KILLS, processes=processes, at_work=at_work,
                      copies=sum(map(len, run.taken.values())))
    t.diag(", ".join(f"{k} {v}" for k, v in totals.items()), f"in {time.monotonic() - began:.0f} s")


netns.enter()
tap.main(test)
