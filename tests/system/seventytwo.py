"""72 hours against a server that never says yes, in virtual time: the schedule, one warning, one report, nothing after. As a
daemon that is killed again and again, in passes of cron, and with a host that is not there at all. ABIDE_TEST_SEED names
another run of the same, ABIDE_TEST_LONG=1 adds a daemon nobody kills, and passes with a host that is not there."""
import collections
import email
import email.policy
import os
import random
import socket
import sys
import time

sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
from lib import tap
from lib.abide import Abide
from lib.clock import library
from lib.smtpd import Smtpd

SEED = int(os.environ.get("ABIDE_TEST_SEED", "1"))
MINUTE, HOUR = 60, 3600
LIFETIME = 72 * HOUR
GAPS = [5 * MINUTE, 15 * MINUTE, 60 * MINUTE, 120 * MINUTE]     # then 4 hours each
CALL = 180                  # the last attempt lies in so many seconds before the end
SLACK = 3                   # seconds a step of ours may be late
IDLE = 11                   # after so long no connection is kept
WORDS = "450 4.9.9 the moon is in the wrong house"
VICTIM, SENDER = "victim@dead.test", "alice@client.test"
MESSAGE = b"From: Alice <alice@client.test>\nTo: victim@dead.test\nMessage-ID: <one@client.test>\nSubject: patience\n\nAre you there?\n"
PASS = 5 * MINUTE


def jittered(gap):
    return gap + min(gap // 10, 5 * MINUTE)


class World:
    """abide and its server. The victim is refused, all others are let in: the sender is among them."""

    def __init__(self, **config):
        rules = [{"at": "rcpt", "rcpt": VICTIM, "reply": WORDS, "delay": 0.05}]
        self.abide = Abide(config, clock=True, env={"NO_FAKE_STAT": "1"})
        self.server = Smtpd(clock=self.abide.clock, rules=rules)
        self.abide.configure(relay=f"127.0.0.1:{self.server.port}")

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *exception):
        self.abide.close()
        self.server.stop()

    def submit(self):
        self.start = self.abide.now()
        r = self.abide.submit("-f", SENDER, VICTIM, data=MESSAGE)
        assert r.status == 0, r

    def since(self, t):
        return t - self.start

    def attempts(self):
        """When the victim was asked for, in seconds after the submission."""
        return [self.since(e["t"]) for e in self.server.record.find("cmd") if e["line"].startswith(f"RCPT TO:<{VICTIM}>")]

    def reports(self):
        return [m for m in self.server.record.messages() if m.sender == ""]

    def victim(self):
        """The queue's name of the message itself; None when it is gone."""
        return next((w for w in self.abide.spool.cur() if w.domain == "dead.test"), None)

    def at_rest(self):
        """Looked at twice: between two looks into directories a message may have moved from one to the other."""
        def calm():
            return all(w.due > self.abide.now() for w in self.abide.spool.cur()) and not self.abide.spool.new()
        return calm() and (time.sleep(0.01) or calm())

    def rest(self, seconds=20):
        """What is due has been done, and recorded, and the connections it took are closed."""
        end = time.monotonic() + seconds
        self.abide.wait_for(self.at_rest, seconds, "an end of what is due")
        while self.server.sessions and time.monotonic() < end:
            self.abide.advance(1)
            time.sleep(0.01)
            self.abide.wait_for(self.at_rest, seconds, "an end of what is due")


# ---- what is looked for

def check_times(t, attempts, name):
    """The schedule's gaps; behind them the last call, which comes earlier than the schedule has it."""
    gaps = [b - a for a, b in zip(attempts, attempts[1:])]
    planned = (GAPS + [4 * HOUR] * len(gaps))[:len(gaps) - 1]
    t.ok(attempts and attempts[0] < SLACK, f"{name}: the first attempt is made at once", attempts)
    wrong = [(i, g) for i, (g, p) in enumerate(zip(gaps, planned)) if not p <= g <= jittered(p) + SLACK]
    t.equal(wrong, [], f"{name}: {len(planned)} gaps are the schedule's, with its jitter upwards", gaps)
    t.ok(LIFETIME - CALL <= attempts[-1] < LIFETIME, f"{name}: the last attempt lies in the three minutes before 72 h", attempts[-3:])


def check_reports(t, world, name, late=SLACK):
    reports = world.reports()
    t.equal(len(reports), 2, f"{name}: one warning, one report", [m.header("Subject") for m in reports])
    warning, report = reports
    when = [world.since(m.t) for m in reports]
    t.ok(0 <= when[0] - 4 * HOUR <= late, f"{name}: the warning comes at 4 hours", when)
    t.ok(0 <= when[1] - LIFETIME <= late, f"{name}: the report comes at 72 hours", when)
    t.equal(world.abide.spool.ids() or world.abide.spool.dead(), [], f"{name}: nothing is left in the spool")
    check_form(t, warning, "delayed", f"{name}, warning")
    check_form(t, report, "failed", f"{name}, report")


def check_form(t, message, action, name):
    """RFC 3464, and RFC 3834 for what an automaton sends."""
    mail = email.message_from_bytes(message.data, policy=email.policy.SMTP)
    t.equal((message.sender, message.recipients), ("", [SENDER]), f"{name}: from nobody, to the sender")
    t.equal((mail.get_content_type(), mail.get_param("report-type")), ("multipart/report", "delivery-status"), f"{name}: its type")
    t.equal(mail.defects, [], f"{name}: the parser finds no fault in it")
    t.equal(mail["Auto-Submitted"], "auto-replied", f"{name}: an automaton's")
    t.equal([p.get_content_type() for p in mail.iter_parts()][:2], ["text/plain", "message/delivery-status"], f"{name}: its parts")
    whole, about = mail.get_payload()[1].get_payload()
    t.ok(whole["Reporting-MTA"] and whole["Arrival-Date"], f"{name}: who reports, since when", whole.as_string())
    t.equal((about["Final-Recipient"], about["Action"]), (f"rfc822; {VICTIM}", action), f"{name}: the recipient and what became of him")
    t.ok((about["Status"] or "").startswith("4."), f"{name}: never more than a temporary error", about.as_string())
    t.equal("Will-Retry-Until" in about, action == "delayed", f"{name}: when we give up, if we have not yet", about.as_string())
    t.ok("<one@client.test>" in mail.as_string(), f"{name}: which message")


# ---- the daemon

def next_moment(world, most):
    """What comes next: the name's due time, two seconds before that, the moment before the warning; at most MOST on."""
    now = world.abide.now()
    due = world.abide.spool.next_due() or now + most
    moments = [due, due - 2, world.start + 4 * HOUR - 2, world.start + 4 * HOUR, now + most]
    return min(m for m in moments if m > now)


def step(world, most=30 * MINUTE):
    a = world.abide
    moment = next_moment(world, most)
    a.advance_to(moment + 0.05)
    a.wait_for(a.spool.heard, 20, "a daemon that hears")
    time.sleep(0.01)            # what must not happen gets its chance
    world.rest()


def kill(world, random_, t):
    """kill -9 of everything, now and then while it is at work; what it had planned stands."""
    a = world.abide
    before = world.victim()
    if random_.random() < 0.5 and before is not None:
        a.advance_to(before.due + 0.05)
        a.wait_for(lambda: len(world.server.sessions) > 0, 10, "an attempt")
        before = None
    killed = a.kill("all")
    after = world.victim()
    a.start()
    if before is None:
        world.rest()
        return len(killed), True
    t.ok((before.due, before.id) == (after.due, after.id), "a kill changes no time", before, after)
    return len(killed), False


def without_echoes(attempts):
    """An attempt cut by a kill is made anew at once: one attempt."""
    return [a for i, a in enumerate(attempts) if i == 0 or a - attempts[i - 1] > 2 * SLACK + IDLE]


def daemon(t, kills):
    name = f"daemon, {kills} kills"
    random_ = random.Random(SEED)
    moments = sorted(random_.uniform(0, LIFETIME - CALL - HOUR) for _ in range(kills))
    killed = cut = 0
    with World() as world:
        a = world.abide
        a.start()
        world.submit()
        a.wait_for(lambda: a.log("=="), 10, "the first deferral")
        world.rest()
        while world.since(a.now()) < LIFETIME + 12 * HOUR:
            step(world)
            while moments and moments[0] < world.since(a.now()):
                processes, at_work = kill(world, random_, t)
                moments.pop(0)
                killed, cut = killed + processes, cut + at_work
        attempts = world.attempts()
        if not t.equal(world.server.record.violations(), [], f"{name}: the server has nothing to complain of"):
            t.diag(a.log_tail())
        check_times(t, without_echoes(attempts), name)
        t.ok(len(attempts) <= len(without_echoes(attempts)) + cut, f"{name}: no attempt but those", attempts)
        check_reports(t, world, name)
        t.equal(a.stop(), 0, f"{name}: it ends well")
        t.diag(f"{len(attempts)} attempts, the last {LIFETIME - attempts[-1]:.0f} s before the end; {killed} processes killed in "
               f"{kills} kills, {cut} of them at work")


# ---- passes

def one_pass(world):
    """A pass that stays, since something is due within the minute, stays in virtual time."""
    a = world.abide
    p = a.popen("abided", "--once")
    end = time.monotonic() + 20
    while p.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
        if time.monotonic() > end - 19.8 and not world.server.sessions:
            a.advance(1)
    a.started.remove(p)
    return p.wait(1)


def run_passes(t, world, name):
    """A pass each five minutes, for three days and two hours."""
    a, statuses, began = world.abide, collections.Counter(), time.monotonic()
    world.submit()
    for i in range((LIFETIME + 2 * HOUR) // PASS):
        a.advance_to(world.start + 1 + i * PASS)
        statuses[one_pass(world)] += 1
    seconds = time.monotonic() - began
    t.equal(dict(statuses), {0: (LIFETIME + 2 * HOUR) // PASS}, f"{name}: each ends well", a.log_tail())
    t.diag(f"{sum(statuses.values())} passes, {seconds / sum(statuses.values()) * 1000:.1f} ms each")


def passes(t):
    name = "passes"
    with World() as world:
        run_passes(t, world, name)
        attempts = world.attempts()
        gaps = [y - x for x, y in zip(attempts, attempts[1:])]
        planned = (GAPS + [4 * HOUR] * len(gaps))[:len(gaps) - 1]
        wrong = [(i, g) for i, (g, p) in enumerate(zip(gaps, planned)) if not p <= g <= jittered(p) + PASS + SLACK]
        t.equal(wrong, [], f"{name}: {len(planned)} gaps are the schedule's, each ended by the next pass", gaps)
        t.ok(LIFETIME - PASS <= attempts[-1] <= LIFETIME + PASS + SLACK,
             f"{name}: the last attempt is in the last pass before 72 h or the first after it", attempts[-3:])
        check_reports(t, world, name, PASS + SLACK)
        t.equal(world.server.record.violations(), [], f"{name}: the server has nothing to complain of")
        t.diag(f"{len(attempts)} attempts, the last {attempts[-1] - LIFETIME:+.0f} s from the end, report at "
               f"{world.since(world.reports()[-1].t) - LIFETIME:+.0f} s")


# ---- nobody there

def bury(world, reserved):
    """The victim's host refuses every connection; the sender's does not."""
    reserved.bind(("127.0.0.1", 0))
    world.abide.configure(route=f"dead.test 127.0.0.1:{reserved.getsockname()[1]}")


def dials(world):
    return [world.since(line.t) for line in world.abide.log() if "phase=connect" in line.text]


def check_dials(t, made, most, name, late=1):
    t.ok(len(made) <= most, f"{name}: at most {most} dials", made)
    t.ok(any(LIFETIME - CALL - 10 * MINUTE <= d <= LIFETIME + late for d in made), f"{name}: one of them near the end", made[-3:])
    t.ok(all(d <= LIFETIME + late for d in made), f"{name}: none after it", made[-3:])
    t.diag(f"{len(made)} dials, the last {made[-1] - LIFETIME:+.0f} s from the end")


def dead_host(t, most_dials):
    """Connections are refused for three days: no answer of a server, and yet the end is the same."""
    name = "dead host"
    with socket.socket() as reserved, World() as world:
        a = world.abide
        bury(world, reserved)
        a.start()
        world.submit()
        a.wait_for(lambda: dials(world), 10, "a dial")
        while world.since(a.now()) < LIFETIME + 12 * HOUR:
            now = world.since(a.now())
            marks = [4 * HOUR, LIFETIME - CALL, LIFETIME, now + (20 if abs(now - LIFETIME) < 400 else 10 * MINUTE)]
            moment = min(m for m in marks if m > now)
            a.advance_to(world.start + moment + 0.05)
            a.wait_for(a.spool.heard, 20, "a daemon that hears")
            a.settle(0.2 if moment in marks[:-1] or abs(moment - LIFETIME) < 130 else 0.02)     # the end is given time to be done
            if world.server.sessions:
                a.advance(IDLE)
                a.wait_for(lambda: not world.server.sessions, 20, "the end of the connections")
        check_reports(t, world, name, 25)
        check_dials(t, dials(world), most_dials, name)


def dead_host_passes(t, most_dials):
    name = "dead host, passes"
    with socket.socket() as reserved, World() as world:
        bury(world, reserved)
        run_passes(t, world, name)
        check_reports(t, world, name, 2 * PASS + SLACK)
        check_dials(t, dials(world), most_dials, name, PASS)


def test(t):
    if library() is None:
        t.skip("72 hours", "libfaketime is not installed")
        return
    daemon(t, 10)
    passes(t)
    dead_host(t, 80)
    if os.environ.get("ABIDE_TEST_LONG"):
        daemon(t, 0)
        dead_host_passes(t, 80)


tap.main(test)
