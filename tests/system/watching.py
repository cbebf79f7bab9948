"""What an administrator sees of mail that waits: each state of a recipient, in `mailq` and in `abide queue`, while a spooler runs and
while none does, and what retry, release and drop do to it."""
import os
import re
import socket
import sys

sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
from lib import tap
from lib.abide import Abide
from lib.clock import library
from lib.smtpd import Smtpd

RULES = [
    {"at": "rcpt", "rcpt": "grey@*", "reply": "450 4.7.1 greylisted, come back in 300 seconds"},
    {"at": "rcpt", "rcpt": "full@*", "reply": "452 4.2.2 mailbox full"},
    {"at": "rcpt", "rcpt": "dead@*", "reply": "550 5.1.1 no such user"},
]
SENDER = "alice@home.test"


def submit(a, *recipients, sender=SENDER):
    """Its ID."""
    def taken():                        # by its sender: reports are not meant
        return set(a.spool.new() if a.daemon is None else [line.id for line in a.log("<=") if line.address == sender])
    before = taken()
    r = a.submit("-i", "-f", sender, *recipients)
    assert r.status == 0, r
    (ident,) = a.wait_for(lambda: taken() - before, 20)
    return ident


def shown(a, *words):
    """{ID: [its lines]} of mailq or `abide queue`."""
    found, lines = {}, None
    for line in a.run(*words).out.decode().splitlines():
        m = re.match(r" *\S+ +\S+ +(\w{6}-\w{6}-\w{2})\b", line)
        if m:
            lines = found.setdefault(m[1], [])
        if not line.strip():
            lines = None
        elif lines is not None:
            lines.append(line)
    return found


def is_seen(t, a, ident, what, mailq, queue):
    """MAILQ: the lines, without age and size; QUEUE: a pattern for each."""
    got = shown(a, "mailq").get(ident, [])
    t.equal([re.sub(r"^ *\d+[mhd] +\S+ ", "", got[0])] + got[1:] if got else None, [f"{ident} <{SENDER}>{mailq[0]}", *mailq[1:]], f"{what}: mailq")
    got = shown(a, "abide", "queue").get(ident, [])
    t.ok(len(got) == len(queue) and all(re.search(p, line) for p, line in zip(queue, got)), f"{what}: abide queue", "\n".join(got))


def owed(address):
    return f"          {address}"


def settled(address):
    return f"        D {address}"


def no_spooler(t, a):
    ident = submit(a, "new@one.test")
    is_seen(t, a, ident, "not filed yet", ["", owed("new@one.test")], [r"  new +-  +alice@", "new@one.test: not tried yet"])
    out = a.tool("queue").out.decode()
    t.ok(out.endswith("\n1 message\nNo spooler is running: nothing is sent until abided starts\n"), "it says that no spooler runs", out)
    return ident


def states(t, a, first):
    t.ok(a.wait_for(lambda: first not in a.spool.ids(), 20), "what waited for a spooler goes when there is one")
    grey, full, mixed = submit(a, "grey@one.test"), submit(a, "full@one.test"), submit(a, "ok@one.test", "dead@one.test", "full@one.test")
    domains = submit(a, "ok@one.test", "grey@two.test", "dead@three.test")
    down, local = submit(a, "x@down.test"), submit(a, "root")
    a.settle()
    is_seen(t, a, grey, "greylisted", ["", owed("grey@one.test")],
            [r"  greylisted +in [45]m ", r": greylisted, tried 1 time, next in [45]m$"])
    is_seen(t, a, full, "mailbox full", ["", owed("full@one.test")],
            [r"  mailbox full +in \d+m ", r": mailbox full, tried 1 time, next in \d+m$"])
    is_seen(t, a, mixed, "one of each", ["", settled("ok@one.test"), settled("dead@one.test"), owed("full@one.test")],
            ["  mailbox full ", "ok@one.test: delivered$", "dead@one.test: failed$", r"full@one.test: mailbox full, tried 1 time, next in \d+m$"])
    is_seen(t, a, domains, "one of each, each at a domain of its own",
            ["", settled("ok@one.test"), owed("grey@two.test"), settled("dead@three.test")],
            ["  greylisted ", "ok@one.test: (done|delivered)$", r"grey@two.test: greylisted, tried 1 time, next in [45]m$",
             "dead@three.test: (done|failed)$"])
    is_seen(t, a, down, "behind a server that is down", ["", owed("x@down.test")], [down, "x@down.test: not tried yet"])
    is_seen(t, a, local, "nowhere to go", [" *** frozen ***", owed("root@client.test")],
            ["  held: local mail, no root or relay set ", "root@client.test"])
    out = a.tool("queue").out.decode()
    t.ok(out.endswith("\n6 messages, 1 held\n"), "the number of all", out)
    return {"grey": grey, "full": full, "mixed": mixed, "domains": domains, "down": down, "local": local}


def acts(t, a, server, ids):
    t.equal(a.tool("queue", "hold", ids["grey"]).status, 0, "hold")
    is_seen(t, a, ids["grey"], "held", [" *** frozen ***", owed("grey@one.test")], ["  held: by the administrator +- ", "grey@one.test: greylisted"])
    a.advance(3600)
    a.settle()
    t.equal(len([line for line in a.log("==", ids["grey"])]), 1, "what is held is left alone")
    server.set(rules=[])
    t.equal(a.tool("queue", "release", ids["grey"]).status, 0, "release")
    t.ok(a.wait_for(lambda: a.log("=>", ids["grey"]), 20), "it goes at once")
    a.advance(2)                        # what was tried in this very second is not tried again
    t.equal(a.tool("queue", "retry", "full@one.test").status, 0, "retry")
    t.ok(a.wait_for(lambda: a.log("=>", ids["full"]) and len(a.log("=>", ids["mixed"])) == 2, 20), "what waits for that address goes at once")
    t.equal(a.tool("queue", "drop", ids["down"], ids["local"]).status, 0, "drop")
    a.live(lambda: a.log("=>", ids["domains"])[1:], 3600)
    a.settle()
    r = a.run("mailq")
    t.equal((r.status, r.out, r.err), (0, b"", b""), "an empty queue is no line of mailq")
    t.equal(a.tool("queue").out, b"The queue is empty\n", "and one of abide queue", a.log_tail)


def dead(t, a, server):
    server.set(rules=RULES)
    submit(a, "dead@one.test", sender="<>")
    a.wait_for(a.spool.dead, 20)
    out = a.tool("queue").out.decode()
    t.ok(re.search(rf"^1 in {a.spool.path}/dead: undeliverable reports", out, re.M), "a report that nobody takes is not forgotten", out)


def main(t):
    if library() is None:
        t.skip("what an administrator sees", "libfaketime is not installed")
        return
    with Smtpd(rules=RULES) as server, socket.socket() as closed:
        closed.bind(("127.0.0.2", 0))   # nobody listens
        here = "127.0.0.1:%d" % server.port
        routes = [f"{domain} {here}" for domain in ("one.test", "two.test", "three.test", "home.test")]
        with Abide({"route": [*routes, "down.test 127.0.0.2:%d" % closed.getsockname()[1]]}, clock=True) as a:
            first = no_spooler(t, a)
            a.start()
            ids = states(t, a, first)
            acts(t, a, server, ids)
            dead(t, a, server)
            t.equal(a.stop(), 0, "abided ends well")


tap.main(main)
