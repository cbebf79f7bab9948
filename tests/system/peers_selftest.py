"""The real peers of the system tests: each starts, takes a message and hands it back; postgrey makes wait, Exim turns away
the first callers, the DNS server has every kind of answer. Shows what abide's own tests stand on."""
import contextlib
import os
import smtplib
import sys
import tempfile
import time

sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
from lib import netns, tap
from lib.clock import Clock, library

from peers import fetch

fetch.prepare("postfix", "exim", "opensmtpd", "named")
netns.enter()
from peers import exim, named, opensmtpd, postfix
from peers.root import Unavailable, greets

CLIENT = "198.18.0.1"
STARTS_WITHIN = 10
MESSAGE = ("From: h\u00e9 <a@x.test>\nSubject: caf\u00e9\n\n.\n..\n...three\n. \nplain\n\n.\nno more\n").encode()
BIG = b"Subject: big\n\n" + b"".join(b"%07d %s\n" % (n, b"x" * 66) for n in range(25 * 1024 * 1024 // 75))


@contextlib.contextmanager
def caller(address):
    with smtplib.SMTP(address, 25, local_hostname="client.test", timeout=30, source_address=(CLIENT, 0)) as c:
        yield c


def try_to_send(address, recipients, message):
    """None when all went, else the code it was refused with."""
    try:
        with caller(address) as c:
            c.sendmail("a@x.test", recipients, message.replace(b"\n", b"\r\n"), mail_options=["BODY=8BITMIME"])
        return None
    except smtplib.SMTPRecipientsRefused as e:
        return next(iter(e.recipients.values()))[0]
    except smtplib.SMTPResponseException as e:
        return e.smtp_code


@contextlib.contextmanager
def timed(t, name, start):
    before = time.monotonic()
    peer = start()
    took = time.monotonic() - before
    t.ok(took < STARTS_WITHIN, f"{name} starts", f"took {took:.1f} s")
    t.diag(f"{name}: {took:.2f} s")
    try:
        with peer:
            yield peer
    finally:
        t.equal(peer.root.pids(), [], f"{name}: stop() leaves no process")


def mailbox(t, name, address, start):
    with timed(t, name, start) as peer:
        t.equal(try_to_send(address, ["b@box.test", "c@other.test"], MESSAGE), None, f"{name} takes a message")
        got = peer.wait_messages(2)
        t.equal(sorted((m.sender, m.recipient) for m in got), [("a@x.test", "b@box.test"), ("a@x.test", "c@other.test")],
                f"{name}: one copy a recipient, with the envelope", peer.log)
        t.equal([m.data for m in got], [MESSAGE] * 2, f"{name} hands it back byte for byte")
        t.equal(try_to_send(address, ["big@box.test"], BIG), None, f"{name} takes 25 MB", peer.log)
        got = [m for m in peer.wait_messages(3) if m.recipient == "big@box.test"]
        t.ok(len(got) == 1 and got[0].data == BIG, f"{name} hands them back byte for byte")
    t.ok(not greets(peer.listen[0], b"220"), f"{name} is gone after stop()")


def test_postfix(t):
    mailbox(t, "Postfix", "198.18.0.10", lambda: postfix.start([("198.18.0.10", 25)]))


def test_exim(t):
    mailbox(t, "Exim", "198.18.0.11", lambda: exim.start([("198.18.0.11", 25)]))


def test_opensmtpd(t):
    mailbox(t, "OpenSMTPD", "198.18.0.12", lambda: opensmtpd.start([("198.18.0.12", 25)]))


def test_postgrey(t):
    if library() is None:
        raise Unavailable("libfaketime is not installed")
    with tempfile.TemporaryDirectory() as tmp:
        os.chmod(tmp, 0o755)
        clock = Clock(os.path.join(tmp, "clock"))
        with timed(t, "Postfix with postgrey", lambda: postfix.start([("198.18.0.10", 25)], greylist=300, clock=clock)) as peer:
            def send():
                return try_to_send("198.18.0.10", ["b@box.test"], MESSAGE)
            t.equal(send(), 450, "postgrey refuses at first sight", peer.log)
            clock.advance(280)
            t.equal(send(), 450, "and before its 300 s are over", peer.log)
            clock.advance(21)
            t.equal(send(), None, "then lets in, by the virtual clock", peer.log)
            t.equal([m.data for m in peer.wait_messages(1)], [MESSAGE], "and the message is there, without postgrey's header field")
            t.equal(try_to_send("198.18.0.10", ["c@box.test"], MESSAGE), 450, "another recipient is another triplet")


def test_exim_421(t):
    with timed(t, "Exim that turns away three", lambda: exim.start([("198.18.0.11", 25)], refuse_first=3)) as peer:
        got = [try_to_send("198.18.0.11", ["b@box.test"], MESSAGE) for _ in range(5)]
        t.equal(got, [421, 421, 421, None, None], "421 to the first three connections, then mail goes in", peer.log)
        t.equal((peer.refused(), len(peer.wait_messages(2))), (3, 2), "and both sides agree on the number")


def test_several_at_once(t):
    """Different peers, and two of a kind, in one world."""
    with exim.start([("198.18.0.11", 25)]) as one, exim.start([("198.18.0.21", 25), ("198.18.0.22", 25)]) as two, \
            opensmtpd.start([("198.18.0.12", 25)]) as three:
        t.equal([try_to_send(a, ["b@box.test"], MESSAGE) for a in ("198.18.0.11", "198.18.0.22", "198.18.0.12")], [None] * 3,
                "three servers side by side")
        t.equal([len(p.wait_messages(1)) for p in (one, two, three)], [1, 1, 1], "each has its own mailbox")


def test_dns(t):
    listen = [("198.18.0.53", 53)] + ([("2001:db8:1::53", 53)] if netns.has_ipv6() else [])
    zones = {
        "two.test": """
            @    MX 10 mx1
            @    MX 20 mx2
            @    MX 20 mx3
            mx1  A 198.18.0.10
            mx1  AAAA 2001:db8:1::10
            mx2  A 198.18.0.11
            mx3  CNAME mx2""",
        "plain.test": "@ A 198.18.0.12",
        "null.test": "@ MX 0 .",
        "alias.test": "@ A 198.18.0.12\n www CNAME two.test.\n loop CNAME loop",
    }
    with timed(t, "named", lambda: named.start(listen, zones, servfail=["broken.test"], silent=["slow.test"])) as dns:
        def ask(name, kind="MX", where=listen[0]):
            code, found = named.query(where, name, kind)
            return code, sorted(found)
        mx = [("MX", "10 mx1.two.test."), ("MX", "20 mx2.two.test."), ("MX", "20 mx3.two.test.")]
        t.equal(ask("two.test"), ("NOERROR", mx), "MX with preferences")
        t.equal(ask("mx1.two.test", "A"), ("NOERROR", [("A", "198.18.0.10")]), "A")
        t.equal(ask("mx1.two.test", "AAAA"), ("NOERROR", [("AAAA", "2001:db8:1::10")]), "AAAA")
        t.equal(ask("mx3.two.test", "A"), ("NOERROR", [("A", "198.18.0.11"), ("CNAME", "mx2.two.test.")]), "an MX host that is an alias")
        t.equal(ask("www.alias.test"), ("NOERROR", [("CNAME", "two.test."), *mx]), "a domain that is an alias")
        t.equal(ask("loop.alias.test"), ("SERVFAIL", [("CNAME", "loop.alias.test.")]), "an alias of itself")
        t.equal(ask("null.test"), ("NOERROR", [("MX", "0 .")]), "null MX")
        t.equal(ask("plain.test"), ("NOERROR", []), "no MX, but an address")
        t.equal(ask("nowhere.test"), ("NXDOMAIN", []), "NXDOMAIN")
        t.equal(ask("broken.test"), ("SERVFAIL", []), "SERVFAIL")
        for name in ("slow.test", "mx.slow.test"):
            try:
                got = named.query(listen[0], name, "MX", 0.5)
            except TimeoutError:
                got = "silence"
            t.equal(got, "silence", f"no answer for {name}")
        t.equal(ask("two.test", where=listen[-1]), ("NOERROR", mx), f"at {listen[-1][0]} too")
        t.ok(("slow.test", "MX") in dns.queries() and (".", "SOA") not in dns.queries(), "it remembers what it was asked", dns.queries)
        before = time.monotonic()
        dns.change(servfail=["two.test"], silent=["null.test"], zones={"slow.test": "@ MX 1 mx", "broken.test": "@ MX 2 mx"})
        t.diag(f"change: {time.monotonic() - before:.2f} s")
        t.equal([ask("slow.test"), ask("broken.test"), ask("two.test")[0], ask("plain.test")[0]],
                [("NOERROR", [("MX", "1 mx.slow.test.")]), ("NOERROR", [("MX", "2 mx.broken.test.")]), "SERVFAIL", "NXDOMAIN"],
                "the world can be changed", dns.log)
        try:
            got = named.query(listen[0], "null.test", "MX", 0.5)
        except TimeoutError:
            got = "silence"
        t.equal(got, "silence", "silences too")


def test(t):
    for name, body in list(globals().items()):
        if name.startswith("test_"):
            try:
                body(t)
            except Unavailable as e:
                t.skip(name[5:], e)


tap.main(test)
