"""Straight to MX, with a real BIND in a private world: each kind of answer the DNS has for a domain, and where the mail goes then.
The hosts are scripted servers at addresses of their own; what is not among them is refused, silent or out of reach."""
import collections
import email
import os
import signal
import sys
import time

sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
from lib import netns, tap
from lib.clock import library

from peers import fetch

fetch.prepare("named")
netns.enter()
from lib.abide import Abide
from lib.smtpd import Smtpd
from peers import named
from peers.root import Unavailable

DNS = ("198.18.0.53", 53)
A, B, C, SIX = "198.18.0.10", "198.18.0.11", "198.18.0.12", "2001:db8:1::10"
HOME = "198.18.0.9"                     # where reports go
OURS = "198.18.0.77"                    # on an interface of this machine
ME, SENDER = "client.test", "me@sender.test"
QUICKLY = 5.0                           # seconds, real ones
LONG = os.environ.get("ABIDE_TEST_LONG") == "1"                     # with the time-outs of the configuration as it comes
CONNECT, LOOKUP = (30, 30) if LONG else (3, 4)
SPREAD = 16                             # messages to two hosts of one preference
HOUR = 3600
HOSTS = {                               # each zone has them all, so that no two domains share a host's name
    "a": f"A {A}", "b": f"A {B}", "c": f"A {C}", "six": f"AAAA {SIX}", "closed": "A 198.18.0.99", "closed6": "AAAA 2001:db8:1::99",
    "silent": "A 203.0.113.7", "silent6": "AAAA 2001:db8:dead::7", "noroute": "A 192.0.2.7", "noroute6": "AAAA 2001:db9::7",
    "ourself": f"A {OURS}", "loopback": "A 127.0.0.1",
}


def mx(*hosts):
    return "".join(f"@ MX {h}\n" for h in hosts)


def one_host(*addresses):
    """An MX host with several addresses."""
    return mx("10 mail") + "".join(f"mail {HOSTS[a]}\n" for a in addresses)


def zone(lines):
    return lines + "\n" + "".join(f"{name} {value}\n" for name, value in HOSTS.items())


# Domain, its zone, who gets the mail, what it shows.
DELIVERED = [
    ("order.test", mx("20 b", "10 a", "30 c"), A, "the best host is the one"),
    ("next.test", mx("10 closed", "20 closed6", "30 c", "40 b"), C, "then the next, and so on"),
    ("equal.test", mx("10 a", "10 closed", "20 b"), A, "of equal ones the one that works"),
    ("implicit.test", f"@ A {A}", A, "no MX: the domain's own address"),
    ("implicit6.test", f"@ AAAA {SIX}", SIX, "an IPv6 one too"),
    ("aliasmx.test", mx("10 mail") + "mail CNAME a", A, "an MX that is an alias, as none should be"),
    ("both.test", one_host("a", "six"), SIX, "IPv6 and IPv4: IPv6 comes first"),
    ("dead6.test", one_host("a", "silent6"), A, "a dead IPv6: IPv4 within moments"),
    ("closed6.test", one_host("a", "closed6"), A, "a closed IPv6: IPv4 at once"),
    ("noway6.test", one_host("a", "noroute6"), A, "an IPv6 without a way there: IPv4 at once"),
    ("dead4.test", one_host("silent", "six"), SIX, "a dead IPv4: IPv6"),
    ("several.test", one_host("closed", "silent", "b"), B, "several addresses: the one that lives"),
    ("only6.test", mx("10 noroute6", "20 b"), B, "no way to the best host from here: the second"),
    ("noroute.test", mx("10 noroute", "20 b"), B, "a router knows no way to the best host: the second"),
    ("unresolved.test", mx("10 nosuch", "20 b"), B, "the best host has no address: the second"),
    ("brokenhost.test", mx("10 mx.broken.test.", "20 b"), B, "the best host's address cannot be had: the second"),
    ("secondary.test", mx("10 a", f"20 {ME}.", "30 c"), A, "we are the secondary: the better one gets it"),
    ("secondary2.test", mx("10 a", "20 ourself", "20 b", "30 c"), A, "so by our address"),
    ("nullandmore.test", mx("0 .", "10 a"), A, "a null MX among others means nothing"),
    ("www.alias.test", mx("10 a") + "www CNAME @", A, "a domain that is an alias"),
    ("xn--bcher-kva.test", mx("10 b"), B, "an international domain"),
    (f"[{C}]", None, C, "an address literal"),
    (f"[IPv6:{SIX}]", None, SIX, "an IPv6 one"),
]
TYPED = {"xn--bcher-kva.test": "b\u00fccher.test"}                  # what users write for it

# Domain, zone, status, what is said, what it shows.
RETURNED = [
    ("nosuch.test", None, "5.1.2", "no such domain", "a domain that does not exist"),
    ("nosuch.order.test", None, "5.1.2", "no such domain", "a name below one that does"),
    ("null.test", mx("0 ."), "5.1.10", "accepts no mail", "a null MX"),
    ("nothing.test", "@ TXT x", "5.4.4", "neither mail host nor address", "a name with neither MX nor address"),
    ("nohost.test", mx("10 nosuch", "20 nosuch2"), "5.4.4", "no mail host of nohost.test has an address", "MX hosts that do not resolve"),
    ("addressed.test", mx("10 nosuch") + f"@ A {A}", "5.4.4", "no mail host", "nor does its address count where there is an MX"),
    ("loop.test", mx("10 loopback"), "5.4.6", "loops back to myself", "an MX 127.0.0.1"),
    ("ours.test", mx("10 ourself", "20 b"), "5.4.6", "loops back to myself", "an MX with an address of an interface of ours"),
    ("name.test", mx(f"10 {ME}.", "20 b"), "5.4.6", "loops back to myself", "an MX with our name"),
    ("implicitours.test", f"@ A {OURS}", "5.4.6", "loops back to myself", "a domain with our address"),
    (f"[{OURS}]", None, "5.4.6", "loops back to myself", "our address as a literal"),
    ("[127.0.0.1]", None, "5.4.6", "loops back to myself", "127.0.0.1 as a literal"),
]

# Domain, zone, what the log says; what cures it comes with WORLD_MENDED.
WAITING = [
    ("broken.test", None, "fail to answer", "SERVFAIL"),
    ("slow.test", None, "no answer in time", "a time-out"),
    ("brokenmx.test", mx("10 mx.broken.test."), "fail to answer", "SERVFAIL for the address of the only host"),
    ("backup.test", mx("10 closed", f"20 {ME}.", "30 c"), "refused", "the only host better than ourselves is down"),
]


def unescape(logged):
    """Of bytes over 127 the log has the octal number."""
    return logged.encode().decode("unicode_escape").encode("latin-1").decode()


class World:
    def __init__(self, a, dns, server):
        self.a, self.dns, self.server = a, dns, server

    def submit(self, domain, sender=SENDER):
        r = self.a.submit("-i", "-f", sender, f"you@{domain}", data=f"Subject: {domain}\n\nhi\n".encode())
        assert (r.status, r.err) == (0, b""), r

    def got(self, domain):
        """[the message] that came for it."""
        return [m for m in self.server.record.messages() if [r.lower() for r in m.recipients] == [f"you@{domain}".lower()]]

    def report(self, domain):
        """What the sender was told about mail for it, or None."""
        for m in self.server.record.messages():
            if m.sender == "" and m.header("Subject").endswith(f": {domain}"):
                return m

    def told(self, flag, domain):
        """The lines of the log about it."""
        return [line for line in self.a.log(flag) if unescape(line.address).lower() == f"you@{TYPED.get(domain, domain)}".lower()]

    def configure(self, **config):
        """Changes the configuration, which is read anew when this returns."""
        seen = len(self.a.log())
        self.a.configure(**config)
        self.a.kill("keeper", signal.SIGHUP)
        self.a.wait_for(lambda: [line for line in self.a.log()[seen:] if line.text.endswith("read anew")], 10)

    def wait(self, condition, seconds):
        try:
            return self.a.wait_for(condition, seconds)
        except TimeoutError:
            return None


def delivered(t, w):
    for domain, _, host, what in DELIVERED:
        before = time.monotonic()
        w.submit(TYPED.get(domain, domain))
        w.wait(lambda: w.got(domain), QUICKLY + CONNECT)
        took = time.monotonic() - before
        t.equal([m.ip for m in w.got(domain)], [host], f"{domain}: {what}", lambda: w.a.log_tail(5))
        t.ok(took < QUICKLY, f"{domain}: quickly", f"took {took:.1f} s")
        w.wait(lambda: w.told("=>", domain), QUICKLY)
        t.equal([f"[{host}]" in line.raw for line in w.told("=>", domain)], [True], f"{domain}: so the log says", lambda: w.a.log_tail(5))


def international(t, w):
    """Servers without SMTPUTF8 know a domain as the DNS does; its users do not."""
    w.submit("b\u00fccher.test", sender="me@m\u00fcller.test")
    got = w.wait(lambda: w.got("xn--bcher-kva.test")[1:], QUICKLY)
    t.equal([(m.sender, m.recipients) for m in got or []], [("me@xn--mller-kva.test", ["you@xn--bcher-kva.test"])], "an international sender",
            w.a.log_tail)


def spread(t, w):
    for _ in range(SPREAD):
        w.submit("spread.test")
    w.wait(lambda: len(w.got("spread.test")) >= SPREAD, 30)
    by = collections.Counter(m.ip for m in w.got("spread.test"))
    t.diag(dict(by))
    t.ok(set(by) == {A, B} and sum(by.values()) == SPREAD, "two hosts of one preference share the mail, a worse one gets none", by)


def dead_host(t, w):
    took = []
    for count in (1, 2):
        before = time.monotonic()
        w.submit("dead.test")
        w.wait(lambda: len(w.got("dead.test")) >= count, CONNECT + 20)
        took.append(time.monotonic() - before)
    t.equal([m.ip for m in w.got("dead.test")], [B, B], "the best host is dead: the second gets it")
    t.ok(took[0] < CONNECT + QUICKLY, "as soon as the connect timed out", took)
    t.ok(took[1] < CONNECT / 2, "and the next message without asking the dead one again", took)
    t.diag(", ".join(f"{s:.2f} s" for s in took))


def returned(t, w):
    for domain, *_ in RETURNED:
        w.submit(domain)
    for domain, _, status, says, what in RETURNED:
        message = w.wait(lambda: w.report(domain), 20)
        if not t.ok(message, f"{domain}: {what}: it comes back", lambda: w.a.log_tail(20)):
            continue
        words, fields = list(email.message_from_bytes(message.data).get_payload())[:2]
        about = fields.get_payload()[1]
        t.equal((about["Final-Recipient"], about["Action"], about["Status"]), (f"rfc822; you@{domain}", "failed", status),
                f"{domain}: with status {status}", about)
        t.ok(says in " ".join(words.get_payload(decode=True).decode().split()), f"{domain}: the sender is told: {says}", words)
        t.ok([line for line in w.told("**", domain) if says in line.raw], f"{domain}: so is the log", lambda: w.a.log_tail(20))
        t.equal(w.got(domain), [], f"{domain}: nobody got it")


def waiting(t, w):
    for domain, *_ in WAITING:
        w.submit(domain)
    for domain, _, says, what in WAITING:
        t.ok(w.wait(lambda: [line for line in w.a.log() if domain in line.raw and says in line.raw], LOOKUP + 20), f"{domain}: {what} is in the log",
             lambda: w.a.log_tail(20))
    w.a.live(lambda: False, HOUR, 600)
    for domain, _, _, what in WAITING:
        t.equal((len([x for x in w.a.spool.cur() if x.domain == domain]), w.got(domain), w.report(domain), w.told("**", domain)), (1, [], None, []),
                f"{domain}: {what}: an hour later it is still there, neither delivered nor returned", lambda: w.a.log_tail(20))
    t.equal([m for m in w.server.record.messages() if m.ip == C and m.recipients == ["you@backup.test"]], [], "no host worse than ourselves is tried")
    w.dns.change(servfail=[], silent=[], zones={**w.dns.world["zones"], **{domain: zone(mx("10 a", "20 b")) for domain, *_ in WAITING}})
    before = w.a.now()
    w.a.live(lambda: all(w.got(domain) for domain, *_ in WAITING), HOUR, 30)
    for domain, *_ in WAITING:
        t.equal([m.ip for m in w.got(domain)], [A], f"{domain}: once its zone is mended it is delivered", lambda: w.a.log_tail(20))
    t.diag(f"{w.a.now() - before:.0f} s after the cure")


def no_resolver(t, w):
    """Nobody answers at all: our own trouble, and no message's."""
    w.configure(resolver="203.0.113.53:53")
    w.submit("late.test")
    t.ok(w.wait(lambda: [line for line in w.a.log() if "late.test" in line.raw and "no DNS server answers" in line.raw], LOOKUP + 20),
         "without a DNS server the log says so", lambda: w.a.log_tail(10))
    w.a.live(lambda: False, HOUR / 2, 600)
    t.ok(len(w.a.spool.cur()) == 1 and not w.report("late.test"), "and the message waits", w.a.log_tail)
    w.configure(resolver="%s:%d" % DNS)
    t.ok(w.a.live(lambda: w.got("late.test"), HOUR, 30), "until there is one", w.a.log_tail)


def world(t):
    zones = {domain: zone(lines) for domain, lines, *_ in DELIVERED + RETURNED + WAITING if lines is not None and not domain.startswith("www.")}
    zones.update({"alias.test": zone(mx("10 a") + "www CNAME @"), "spread.test": zone(mx("10 a", "10 b", "20 c")), "late.test": zone(mx("10 a")),
                  "dead.test": zone(mx("10 silent", "20 b")), "sender.test": f"@ MX 1 mx\nmx A {HOME}"})
    config = {"resolver": "%s:%d" % DNS, "timeout": [f"connect {CONNECT}s", f"dns {LOOKUP}s"], "limit": "spread.test messages=1"}
    netns.add_address(OURS, "silent0")
    listen = [(address, 25) for address in (A, B, C, SIX, HOME, OURS, "127.0.0.1")]
    with named.start([DNS], zones, servfail=["broken.test"], silent=["slow.test"]) as dns, Abide(config, clock=True) as a, \
            Smtpd(listen, clock=a.clock) as server:
        a.start()
        w = World(a, dns, server)
        for test in delivered, international, spread, dead_host, returned, waiting, no_resolver:
            t.diag(f"---- {test.__name__}")
            test(t, w)
        t.equal([c for c in server.record.connections() if c["ip"] in (OURS, "127.0.0.1")], [], "we never called ourselves")
        t.equal(server.record.violations(), [], "the client behaved")
        t.equal(a.spool.ids(), set(), "nothing is left")
        t.equal(a.stop(), 0, "abided ends well")


def test(t):
    try:
        if library() is None:
            raise Unavailable("libfaketime is not installed")
        if not netns.has_ipv6():
            raise Unavailable("no IPv6 here")
        world(t)
    except Unavailable as e:
        t.skip("MX routing", e)


tap.main(test)
