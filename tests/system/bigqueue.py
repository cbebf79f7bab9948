"""A long queue behind one paused site costs nothing: no CPU, no memory, no time at the start; other mail passes it by; and
when the site opens all of it leaves, once. ABIDE_TEST_LONG=1: 100,000 messages in place of 5,000; ABIDE_TEST_QUEUE=N: so many.

Times are printed, and only compared with bounds that a busy machine keeps too."""
import os
import sys
import time

sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
from lib import tap
from lib.abide import Abide
from lib.smtpd import Smtpd
from lib.smtprecord import Recording
from lib.spool import ID_FORM

LONG = os.environ.get("ABIDE_TEST_LONG") == "1"
COUNT = int(os.environ.get("ABIDE_TEST_QUEUE", "100000" if LONG else "5000"))
IDLE = 20 if LONG else 5                # seconds watched
BUSY = "421 4.7.0 too busy now, try again in 2 hours"
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
LARGE = 256 * 1024      # bytes of a directory
MEMORY = 1024 * 1024    # bytes a daemon may differ by


class Few(Recording):
    """Remembers what was taken, not each word that was said."""
    taken = 0

    def add(self, ev, **fields):
        self.taken += ev == "msg"
        return super().add(ev, **fields) if ev in ("msg", "conn", "violation") else fields


def ident(number, like):
    """An ID of the same second as another."""
    digits = ""
    for _ in range(8):
        number, digit = divmod(number, 62)
        digits = DIGITS[digit] + digits
    return f"{like[:7]}{digits[:6]}-{digits[6:]}"


def clone(abide, original, count):
    """COUNT messages like that one, each with a number in its text; every fifth waits for a time to come."""
    with open(original.path, "rb") as f:
        text = f.read()
    directory = os.path.dirname(original.path)
    for i in range(1, count):
        name = ident(i * 7919, original.id)         # so that the order of IDs says nothing
        assert ID_FORM.match(name)
        due = original.due if i % 5 else int(time.time()) + 3600 + i % 600
        with open(f"{directory}/{due:010d}.{name}.{original.letter}{original.sender_hash}", "wb") as f:
            f.write(text.replace(b"number 000000", b"number %06d" % i))


def timed(act):
    before = time.monotonic()
    value = act()
    return value, time.monotonic() - before


def rest(abide):
    """(CPU seconds, RSS, PSS) of the keeper over a time in which nothing is to be done."""
    abide.settle()
    pid = abide.pids("keeper")[0]
    before = abide.usage(pid)[0]
    time.sleep(IDLE)
    cpu, rss, pss = abide.usage(pid)
    return cpu - before, rss, pss


def deferred_one(t, abide, closed):
    """One message of which the site said that it does not want any for two hours."""
    r = abide.submit("-f", "a@client.test", "b@flood.test", data=b"Subject: number 000000\n\nhello\n")
    abide.wait_for(lambda: any(BUSY[4:] in line.text for line in abide.log()), 20, "a refusal")
    abide.settle()
    t.equal((r.status, len(abide.spool.cur()), len(closed.record.connections())), (0, 1, 1), "one message waits behind a site that is busy")
    return abide.spool.cur()[0]


def check_rest(t, abide, alone):
    cpu, rss, pss = rest(abide)
    t.diag(f"at rest for {IDLE} s, beside one message: CPU {alone[0]:.2f} s, RSS {alone[1] >> 10} KB, PSS {alone[2] >> 10} KB")
    t.diag(f"at rest for {IDLE} s, beside {COUNT}: CPU {cpu:.2f} s, RSS {rss >> 10} KB, PSS {pss >> 10} KB")
    t.ok(cpu <= IDLE / 50, f"the daemon rests, with {COUNT} messages behind a paused site", cpu)
    if os.environ.get("ABIDE_SANITIZERS") != "1":       # they keep what was freed
        t.ok(rss - alone[1] < MEMORY and pss - alone[2] < MEMORY, "its memory does not grow with the queue", alone, (rss, pss))


def check_mailq(t, abide):
    r, took = timed(lambda: abide.run("mailq", seconds=280))
    t.diag(f"mailq of {COUNT}: {took:.2f} s, {len(r.out) >> 10} KB")
    t.equal((r.status, r.out.count(b"<a@client.test>")), (0, COUNT), "mailq shows them all")
    t.ok(took < 10 + COUNT / 5000, "... in a time that does not matter", took)


def check_passing_by(t, abide, open_server):
    before = time.monotonic()
    abide.submit("-f", "a@client.test", "c@other.test")
    open_server.record.wait_messages(1, 20)
    took = time.monotonic() - before
    t.diag(f"a message to another domain: {took * 1000:.0f} ms from the call of sendmail to the server's record")
    t.ok(took < 5, "a new message to another domain passes the queue", took)


def check_opening(t, abide, closed, directory):
    size = os.stat(directory).st_size
    closed.set(rules=[])
    _, took = timed(lambda: (abide.submit("-q"), abide.wait_for(lambda: closed.record.taken >= COUNT, 30 + COUNT / 100, "all of them")))
    t.diag(f"the site opens: {COUNT} messages in {took:.1f} s, {COUNT / took:.0f}/s")
    abide.wait_for(abide.spool.empty, 60, "an empty queue")
    numbers = sorted(m.header("Subject") for m in closed.record.messages())
    t.equal(len(numbers), COUNT, "the site opens: as many arrive as waited")
    t.ok(numbers == [f"number {i:06d}" for i in range(COUNT)], "... each of them, once")
    abide.wait_for(lambda: not os.path.exists(directory) or os.stat(directory).st_size < LARGE, 20, "a small directory")
    t.ok(True, f"... and what was a directory of {size >> 10} KB is small again, or gone")
    t.equal(closed.record.violations(), [], "and the server was treated well")


def main(t):
    with Smtpd(rules=[{"at": "banner", "reply": BUSY}]) as closed, Smtpd() as open_server, \
            Abide({"relay": f"127.0.0.1:{closed.port}", "route": f"other.test 127.0.0.1:{open_server.port}", "log_level": "info"}) as abide:
        closed.record = Few()
        abide.start()
        original = deferred_one(t, abide, closed)
        alone = rest(abide)
        abide.stop()
        _, took = timed(lambda: clone(abide, original, COUNT))
        t.diag(f"{COUNT} messages made in {took:.1f} s")
        _, took = timed(abide.start)
        t.diag(f"start: {took:.2f} s until it listens")
        t.ok(took < 10, "the daemon starts at once", took)
        check_passing_by(t, abide, open_server)
        check_rest(t, abide, alone)
        check_mailq(t, abide)
        t.equal(len(closed.record.connections()), 1, "the paused site was not called meanwhile")
        check_opening(t, abide, closed, os.path.dirname(original.path))
        t.equal(abide.stop(), 0, "exit 0")


if __name__ == "__main__":
    tap.main(main)
