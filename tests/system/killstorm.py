"""kill -9 of the keeper, the courier and of submissions at random, while mail is submitted, eight at a time, and delivered.
What was accepted arrives; a second copy comes only where a kill fell between the server's 250 and our record of it.
ABIDE_TEST_LONG=1: 1,000 submissions in place of 150. ABIDE_TEST_SEED names another run of the same."""
import collections
import os
import random
import signal
import subprocess
import sys
import threading
import time

sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
from lib import tap
from lib.abide import Abide
from lib.smtpd import Smtpd

SEED = int(os.environ.get("ABIDE_TEST_SEED", "1"))
LONG = os.environ.get("ABIDE_TEST_LONG") == "1"
COUNT = 1000 if LONG else 150
FEWEST = 100 if LONG else 10            # kills that must have hit a flight
PARALLEL = 8
GAP = 0.8                               # seconds a submitter rests, at most
KILLED = 0.25                           # of the submissions
DOMAINS = [f"d{i}.test" for i in range(5)]

Kill = collections.namedtuple("Kill", "at who flights waiting")


class Submission:
    """One call of sendmail: what was given to it, and how it ended."""

    def __init__(self, number, rng):
        self.token = f"tok{number:05d}"
        self.rcpts = [f"{self.token}@{d}" for d in rng.sample(DOMAINS, rng.choice((1, 1, 2, 3)))]
        self.body = "".join(f"{self.token} {i} {'.' * (i % 5)}\n" for i in range(rng.choice((3, 50, 400, 3000)))).encode()
        self.data = f"From: a@client.test\nSubject: {self.token}\n\n".encode() + self.body
        self.kill_after = rng.uniform(0, 0.004) if rng.random() < KILLED else None
        self.rest = rng.uniform(0, GAP)
        self.status = None

    def run(self, abide):
        p = abide.popen("sendmail", "-oi", "-f", "a@client.test", *self.rcpts, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        if self.kill_after is not None:
            timer = threading.Timer(self.kill_after, p.kill)
            timer.start()
        self.err = p.communicate(self.data, 60)[1]
        if self.kill_after is not None:
            timer.cancel()
        self.status = p.returncode
        abide.started.remove(p)
        time.sleep(self.rest)


class Submitters(threading.Thread):
    """Eight of these share the work."""

    def __init__(self, abide, work):
        super().__init__(daemon=True)
        self.abide, self.work = abide, work

    def run(self):
        while True:
            try:
                submission = self.work.popleft()
            except IndexError:
                return
            submission.run(self.abide)


def in_hand(abide):
    """IDs whose files couriers hold open: flights under way."""
    ids = set()
    for pid in abide.pids("courier"):
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                path = os.readlink(f"/proc/{pid}/fd/{fd}")
                if path.startswith(abide.spool.path + "/") and not path.endswith("(deleted)"):
                    ids.add(os.path.basename(path).split(".")[-2] if "/cur/" in path else os.path.basename(path))
        except OSError:
            pass
    return ids


def strike(abide, who):
    """Stops it, looks what it has in its hands, kills it; a keeper is followed by another at once."""
    victims = abide.pids(who)
    for pid in victims:
        os.kill(pid, signal.SIGSTOP)
    flights = in_hand(abide)
    if not victims:
        return None
    abide.kill(who)
    kill = Kill(time.monotonic(), who, flights, abide.spool.ids())
    if who == "keeper":
        abide.start()
    return kill


def storm(abide, rng, going_on):
    kills = []
    while going_on():
        time.sleep(rng.uniform(0.01, 0.15))
        kill = strike(abide, rng.choice(("keeper", "courier")))
        if kill:
            kills.append(kill)
    return kills


# ---- what became of it

class Copy:
    """A message the server took."""

    def __init__(self, event, began):
        self.began, self.ended, self.rcpts = began, event["m"], event["rcpts"]


def copies_of(record):
    """{(ID, recipient): [Copy, in order]}; when its transaction began goes with each."""
    copies, mail = collections.defaultdict(list), {}
    messages = iter(record.messages())
    for e in record.events:
        if e["ev"] == "cmd" and e["line"].startswith("MAIL"):
            mail[e["c"]] = e["m"]
        if e["ev"] == "msg":
            ident = next(messages).header("Message-ID").strip("<>").partition("@")[0]
            for rcpt in e["rcpts"]:
                copies[ident, rcpt].append(Copy(e, mail[e["c"]]))
    return copies


def unexplained(copies, kills):
    """Second copies without a kill that came behind the first one's beginning and found the name still in the spool."""
    bad = []
    for (ident, rcpt), seen in copies.items():
        for first, second in zip(seen, seen[1:]):
            if not any(first.began <= k.at <= second.ended and ident in k.waiting for k in kills):
                bad.append((ident, rcpt, first.began, first.ended, second.ended))
    return bad


def check_arrivals(t, submissions, server, copies):
    owed = {(s.token, r) for s in submissions if s.status == 0 for r in s.rcpts}
    arrived, torn = collections.defaultdict(set), []
    by_token = {s.token: s for s in submissions}
    for m in server.record.messages():
        s = by_token.get(m.header("Subject"))
        if s is None or m.body != s.body:
            torn.append((m.header("Subject"), m.size))
        for r in m.recipients:
            arrived[m.header("Subject"), r].add(m.header("Message-ID"))
    t.equal(sorted(owed - set(arrived)), [], "every submission that exited 0 arrived at each of its recipients")
    t.equal(torn, [], "each copy is what was given")
    t.equal([k for k, ids in arrived.items() if len(ids) > 1], [], "no submission made two messages")
    other = sorted(k for k in arrived if k not in owed and by_token[k[0]].status != -9)
    t.equal(other, [], "nothing arrived that was refused")
    return len(owed)


def main(t):
    rng = random.Random(SEED)
    rules = [{"at": "dot", "chance": 0.4, "hold": 0.03}, {"at": "rcpt", "chance": 0.5, "delay": 0.1}]
    with Abide() as abide, Smtpd(rules=rules, seed=SEED) as server:
        abide.configure(relay=f"127.0.0.1:{server.port}", log_level="info")
        abide.start()
        submissions = [Submission(i, rng) for i in range(COUNT)]
        work = collections.deque(submissions)
        submitters = [Submitters(abide, work) for _ in range(PARALLEL)]
        begun = time.monotonic()
        for s in submitters:
            s.start()
        kills = storm(abide, rng, lambda: any(s.is_alive() for s in submitters))
        lasted = time.monotonic() - begun
        abide.wait_for(lambda: abide.spool.empty() and not in_hand(abide), 120, "an empty queue")
        abide.wait_for(lambda: len(abide.pids("courier")) <= 1, 60, "the end of couriers whose keepers were killed")
        copies = copies_of(server.record)
        owed = check_arrivals(t, submissions, server, copies)
        statuses = collections.Counter(s.status for s in submissions)
        t.equal({s.status for s in submissions if s.kill_after is None}, {0}, "a submission nobody killed exits 0, spooler or none",
                [s.err for s in submissions if s.status not in (0, -9)][:3])
        hit = [k for k in kills if k.flights]
        t.ok(len(hit) >= FEWEST, f"{len(hit)} kills fell on flights under way, at least {FEWEST}")
        t.ok(statuses[-9] >= FEWEST // 5, f"{statuses[-9]} submissions were killed while they ran")
        second = sum(len(c) - 1 for c in copies.values())
        t.equal(unexplained(copies, kills), [], f"each of {second} second copies has its kill, between the server's 250 and our record")
        t.equal(server.record.violations(), [], "no word to the server that should not have been said")
        t.equal(([m.sender for m in server.record.messages() if m.sender != "a@client.test"], abide.log("**"), abide.spool.dead()), ([], [], []),
                "nothing bounced")
        left = len(abide.spool.tmp())
        t.ok(left <= statuses[-9], f"{left} files were left unfinished, not more than submissions killed")
        t.equal(abide.stop(), 0, "the last spooler ends in good order")
        of = collections.Counter(k.who for k in kills), collections.Counter(k.who for k in hit)
        t.diag(f"seed {SEED}: {COUNT} submissions in {lasted:.1f} s, exit statuses {dict(statuses)}; kills {dict(of[0])}, with flights under way "
               f"{dict(of[1])}, flights hit {sum(len(k.flights) for k in hit)}; {owed} recipients owed, {len(copies)} served, {second} twice")


if __name__ == "__main__":
    tap.main(main)
