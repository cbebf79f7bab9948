"""Which hosts take mail for a domain: a real courier and a DNS server that answers as told."""
import os
import random
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from lib import netns, tap
from lib.dnsd import Dnsd
from lib.drive import Drive

SELF = "me.test"
OURS = "198.18.77.1"                    # put on an interface that is not the loopback one
LONG = ".".join(["a" * 63] * 3 + ["b" * 61])


def host(n):
    return {"A": [f"198.18.0.{n}"]}


ZONE = {
    "one.test": {"MX": [(10, "mx1.test")]},
    "sorted.test": {"MX": [(30, "mx3.test"), (10, "mx1.test"), (20, "mx2.test")]},
    "capitals.test": {"MX": [(10, "MX1.TeSt")]},
    "equal.test": {"MX": [(10, "mx1.test"), (10, "mx2.test"), (10, "mx3.test")]},
    "alias.test": {"CNAME": "alias2.test"}, "alias2.test": {"CNAME": "one.test"},
    "round.test": {"CNAME": "round2.test"}, "round2.test": {"CNAME": "round.test"},
    "mxalias.test": {"MX": [(10, "mxname.test")]}, "mxname.test": {"CNAME": "mx1.test"},
    "null.test": {"MX": [(0, ".")]}, "null2.test": {"MX": [(0, "."), (10, "mx1.test")]},
    "implicit.test": host(9), "implicit6.test": {"AAAA": ["2001:db8:1::9"]},
    "nothing.test": {}, "nothing.alias.test": {"CNAME": "nothing.test"},
    "deadmx.test": {"MX": [(10, "gone.test"), (20, "empty.test")], "A": ["198.18.0.9"]}, "empty.test": {},
    "halfmx.test": {"MX": [(10, "gone.test"), (20, "mx1.test")]},
    "tempmx.test": {"MX": [(10, "sick.test"), (20, "gone.test")], "A": ["198.18.0.9"]},
    "tempmx2.test": {"MX": [(10, "sick.test"), (20, "mx1.test")]},
    "sick.test": {"do": "SERVFAIL"}, "refused.test": {"do": "REFUSED"}, "formerr.test": {"do": "FORMERR"}, "notimp.test": {"do": "NOTIMP"},
    "self.test": {"MX": [(10, "ME.test")]}, "selfname.test": {"MX": [(5, "mx1.test"), (10, SELF), (10, "mx2.test"), (20, "mx3.test")]},
    "lo4.test": {"MX": [(10, "h.lo4.test")]}, "h.lo4.test": {"A": ["127.0.0.1"]},
    "lo6.test": {"MX": [(10, "h.lo6.test"), (20, "mx1.test")]}, "h.lo6.test": {"AAAA": ["::1"]},
    "zero.test": {"MX": [(10, "h.zero.test")]}, "h.zero.test": {"A": ["0.0.0.0"]},
    "mapped.test": {"MX": [(10, "h.mapped.test")]}, "h.mapped.test": {"AAAA": ["::ffff:127.0.0.1"]},
    "ours.test": {"MX": [(10, "mx1.test"), (20, "h.ours.test"), (20, "mx2.test"), (30, "mx3.test")]}, "h.ours.test": {"A": ["198.18.0.5", OURS]},
    "implicitself.test": {"A": ["127.0.0.1"]},
    "many.test": {"MX": [(1000 - i, f"mx{i % 3 + 1}.test" if i % 100 == 99 else f"n{i}.many.test") for i in range(500)]},
    "hostile.test": {"MX": [(1, b"\x04a\0b.\0"), (2, "a b.test"), (3, '"quoted".test'), (4, "../../etc/passwd"), (5, "\033[31mred.test"),
                            (6, b"\x03a.b\x04test\0"), (7, "x" * 63 + "." + "m\xfcller.test"), (8, "198.18.0.1"), (9, "mx1.test")]},
    "allhostile.test": {"MX": [(1, "a b.test"), (2, "198.18.0.1")], "A": ["198.18.0.9"]},
    "tc.test": {"MX": [(10, "mx1.test")], "do": "truncate"},
    "lying.test": {"do": "lying-rdlength"}, "pointer.test": {"do": "pointer-loop"}, "garbage.test": {"do": "garbage"},
    "brief.test": {"MX": [(10, "mx1.test")], "ttl": 0}, "endless.test": {"MX": [(10, "endless-mx.test")], "ttl": 604800},
    "endless-mx.test": {"A": ["198.18.0.8"], "ttl": 604800}, "ttl31.test": {"MX": [(10, "mx1.test")], "ttl": 1 << 31},
    "noaaaa.test": {"MX": [(10, "h.noaaaa.test")]}, "h.noaaaa.test": {**host(7), "do": "servfail-aaaa"},
    LONG: {"MX": [(10, "mx1.test")]},
    "mx1.test": host(1), "mx2.test": {"A": ["198.18.0.2"], "AAAA": ["2001:db8:1::2"]}, "mx3.test": host(3),
}

# domain, status, hosts, what the text says, ttl (None: any)
ROUTES = [
    ("one.test", "ok", "10:mx1.test", "", 300),
    ("sorted.test", "ok", "10:mx1.test 20:mx2.test 30:mx3.test", "", 300),
    ("capitals.test", "ok", "10:mx1.test", "", None),
    ("ONE.test", "ok", "10:mx1.test", "", None),
    ("alias.test", "ok", "10:mx1.test", "", None),
    ("round.test", "temp", "", "malformed", None),
    ("mxalias.test", "ok", "10:mxname.test", "", None),
    ("null.test", "null_mx", "", "accepts no mail", None),
    ("null2.test", "ok", "10:mx1.test", "", None),
    ("implicit.test", "ok", "0:implicit.test", "", 300),
    ("implicit6.test", "ok", "0:implicit6.test", "", None),
    ("nothing.test", "no_host", "", "neither mail host nor address", None),
    ("nothing.alias.test", "no_host", "", "neither mail host nor address", None),
    ("nosuch.test", "no_domain", "", "no such domain", 90),
    ("deadmx.test", "no_host", "", "no mail host of deadmx.test has an address", None),
    ("halfmx.test", "ok", "20:mx1.test", "", None),
    ("tempmx.test", "temp", "", "fail to answer", None),
    ("tempmx2.test", "ok", "20:mx1.test", "", 60),
    ("sick.test", "temp", "", "fail to answer", 60),
    ("refused.test", "temp", "", "fail to answer", None),
    ("formerr.test", "temp", "", "fail to answer", None),
    ("notimp.test", "temp", "", "fail to answer", None),
    ("self.test", "loop", "", "mail for self.test loops back to myself", None),
    ("selfname.test", "ok", "5:mx1.test", "", None),
    ("lo4.test", "loop", "", "loops back", None),
    ("lo6.test", "loop", "", "loops back", None),
    ("zero.test", "loop", "", "loops back", None),
    ("mapped.test", "loop", "", "loops back", None),
    ("ours.test", "ok", "10:mx1.test", "", None),
    ("implicitself.test", "loop", "", "loops back", None),
    ("hostile.test", "ok", "9:mx1.test", "", None),
    ("allhostile.test", "no_host", "", "no mail host", None),
    ("tc.test", "ok", "10:mx1.test", "", None),
    ("lying.test", "temp", "", "", None),
    ("pointer.test", "temp", "", "malformed", None),
    ("garbage.test", "temp", "", "", None),
    ("brief.test", "ok", "10:mx1.test", "", 60),
    ("endless.test", "ok", "10:endless-mx.test", "", 3600),
    ("ttl31.test", "ok", "10:mx1.test", "", 60),
    ("noaaaa.test", "ok", "10:h.noaaaa.test", "", None),
    (LONG, "ok", "10:mx1.test", "", None),
    (LONG + "b", "no_domain", "", "not a domain name", None),
    ("a..test", "no_domain", "", "not a domain name", None),
    ("-", "no_domain", "", "no such domain", None),
    ("[198.18.0.1]", "ok", "0:198.18.0.1", "", None),
    ("[IPv6:2001:DB8:1::1]", "ok", "0:2001:db8:1::1", "", None),
    ("[127.0.0.1]", "loop", "", "loops back", None),
    (f"[{OURS}]", "loop", "", "loops back", None),
    ("[1.2.3]", "no_domain", "", "not a domain name", None),
]


def lookup(courier, domain, query=1):
    courier.say(f"lookup {query} {domain} {SELF}")
    return courier.wait(f"route {query}")


def test_routes(t, courier, dns):
    for query, (domain, status, hosts, text, ttl) in enumerate(ROUTES, 1):
        route = lookup(courier, domain, query)
        t.ok(route[2] == status and " ".join(route[4:]) == hosts and text in route.text and ttl in (None, int(route[3])),
             f"{domain if len(domain) < 60 else str(len(domain)) + ' bytes'}: {status} {hosts or text}", f"{route} | {route.text}")
    t.ok(dns.asked("tc.test", "MX", "udp") and dns.asked("tc.test", "MX", "tcp"), "what is truncated is asked again over TCP")
    t.equal(dns.asked("mx3.test", "AAAA"), 1, "the addresses of a host that many domains share are asked once")
    t.equal(dns.asked("localhost") + dns.asked("198.18.0.1"), 0, "an address is not looked up as a name")


def test_order(t, courier):
    first = {lookup(courier, "equal.test", 1000 + i)[4] for i in range(40)}
    t.equal(first, {"10:mx1.test", "10:mx2.test", "10:mx3.test"}, "hosts of equal preference take turns in front")
    route = lookup(courier, "many.test", 2000)
    preferences = [int(word.split(":")[0]) for word in route[4:]]
    t.ok(48 <= len(preferences) <= 64 and preferences == sorted(preferences) and preferences[-1] <= 501 + 63,
         "of 500 mail hosts the best are kept, by preference", route)


def test_many_at_once(t, zone):
    silent = {f"quiet{i}.test": {"do": "silent"} for i in range(120)}
    with Dnsd({**zone, **silent}) as dns, Drive(resolver=dns.address, dns=2000) as courier:
        lookup(courier, "one.test")
        began = time.monotonic()
        courier.say(*[f"lookup {i} quiet{i}.test {SELF}" for i in range(120)], f"lookup 999 sorted.test {SELF}")
        time.sleep(1)
        with dns.lock:
            asked = {name for name, _, _ in dns.questions if name.startswith("quiet")}
        t.equal(len(asked), 50, "at most 50 domains are under way")
        routes = [courier.wait(f"route {i}") for i in range(120)]
        last = courier.wait("route 999")
        t.ok(all(r[2] in ("temp", "local") for r in routes), "each of 120 silent domains has its one answer")
        t.ok(last[2] == "ok" and last.at - began < 15, "and what came behind them has its own", last, last.at - began)
        t.ok(courier.quiet(), "nothing is answered twice", lambda: courier.lines)


def test_silence(t):
    with Dnsd({"one.test": {"MX": [(10, "mx1.test")]}, "mx1.test": host(1), "quiet.test": {"do": "silent"}, "wrong.test": {"do": "wrong-id"},
               "other.test": {"do": "wrong-question"}, "late.test": {"MX": [(10, "mx1.test")], "do": "silent", "times": 1}}) as dns:
        with Drive(resolver=dns.address, dns=1500) as courier:
            courier.say(*[f"lookup {n} {d} {SELF}" for n, d in enumerate(("quiet.test", "wrong.test", "other.test"), 1)])
            lookup(courier, "one.test", 9)
            for n, what in enumerate(("silence", "an answer with a foreign id", "an answer to another question"), 1):
                t.equal(courier.wait(f"route {n}")[2], "temp", f"{what} of a resolver that lives: temporary")
        with Drive(resolver=dns.address, dns=30000) as courier:
            t.equal(lookup(courier, "late.test")[2], "ok", "a lost question is asked again")
            began = time.monotonic()
            t.equal(lookup(courier, "quiet.test", 2)[2], "temp", "the only question in the world, unanswered: the resolver proves that it lives")
            t.ok(time.monotonic() - began < 25, "within a bounded time")
    with Dnsd({"": {"do": "silent"}, "quiet.test": {"do": "silent"}}) as dns, Drive(resolver=dns.address, dns=2000) as courier:
        began = time.monotonic()
        route = lookup(courier, "quiet.test")
        t.ok(route[2] == "local" and time.monotonic() - began < 8, "a resolver that answers nothing: our own side, in time", route)
        courier.say("dial 1 quiet.test 25 mx")
        t.equal(courier.wait("fail 1")[2:4], ["unreachable", "dns"], "so for the addresses of a host")


def test_no_resolver(t):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        closed = "127.0.0.1:%d" % unused.getsockname()[1]
    for address, what in ((closed, "no resolver there"), ("192.0.2.9:53", "a resolver out of reach"), ("10.9.9.9:53", "no network")):
        with Drive(resolver=address, dns=20000) as courier:
            began = time.monotonic()
            route = lookup(courier, "one.test")
            t.ok(route[2] == "local" and time.monotonic() - began < 10, f"{what}: our own side, and known at once", route, time.monotonic() - began)
    with Dnsd({"tc.test": {"MX": [(10, "mx1.test")], "do": "truncate"}}, tcp=False) as dns, Drive(resolver=dns.address, dns=3000) as courier:
        t.equal(lookup(courier, "tc.test")[2], "temp", "truncated, and TCP refused: temporary")


def test_memory_of_answers(t):
    zone = {"one.test": {"MX": [(10, "mx1.test")]}, "mx1.test": host(1)}
    with Dnsd(zone) as first, Dnsd({**zone, "mx1.test": host(2)}) as second, Drive(resolver=first.address) as courier:
        for query in range(3):
            lookup(courier, "one.test", query)
        t.equal((first.asked("one.test", "MX"), first.asked("mx1.test", "A")), (3, 1), "addresses are remembered, domains are the keeper's to remember")
        courier.say(f"setup resolver={second.address}")
        lookup(courier, "one.test", 10)
        t.equal((second.asked("one.test", "MX"), second.asked("mx1.test", "A")), (1, 1), "another resolver is asked anew, about everything")
        courier.say(f"lookup 11 one.test {SELF}", f"setup resolver={first.address}", f"lookup 12 one.test {SELF}")
        t.equal([courier.wait(f"route {n}")[2] for n in (11, 12)], ["ok", "ok"], "a change while questions are under way loses none")
        t.ok(first.asked("one.test") + second.asked("one.test") == 6, "and each is asked once")


def test_families(t, zone):
    with Dnsd(zone) as dns:
        with Drive(resolver=dns.address, ip="4") as courier:
            t.equal(lookup(courier, "implicit6.test")[2], "no_host", "ip 4: a host with IPv6 alone has no address")
            t.equal(lookup(courier, "one.test", 2)[2], "ok", "others have")
        t.equal(sum(kind == "AAAA" for _, kind, _ in dns.questions), 0, "no AAAA is asked for")


def test_random_answers(t):
    """Answers with random damage: the courier lives, and answers each question once."""
    rng = random.Random(int(os.environ.get("SEED", "1")))
    with Dnsd(ZONE) as dns:
        whole = dns.replies

        def damaged(message, over):
            replies = [bytearray(r) for r in whole(message, over)]
            for reply in replies:
                for _ in range(rng.randrange(1, 6)):
                    reply[rng.randrange(4, len(reply))] = rng.randrange(256)
                del reply[rng.randrange(12, len(reply) + 40):]
            return [bytes(r) for r in replies]

        dns.replies = damaged
        with Drive(resolver=dns.address, dns=1000) as courier:
            names = [name for name, *_ in ROUTES if not name.startswith("[")]
            courier.say(*[f"lookup {i} {rng.choice(names)} {SELF}" for i in range(300)])
            routes = [courier.wait(f"route {i}", 40) for i in range(300)]
            t.ok(courier.quiet() and len(routes) == 300, "300 questions, damaged answers: one route each")
        t.equal(courier.status, "exit 0", "and the courier lives on")


def test(t):
    netns.add_address(OURS, "silent0")
    with Dnsd(ZONE) as dns, Drive(resolver=dns.address) as courier:
        test_routes(t, courier, dns)
        test_order(t, courier)
    t.equal(courier.status, "exit 0", "the courier ends when the link does")
    test_many_at_once(t, ZONE)
    test_silence(t)
    test_no_resolver(t)
    test_memory_of_answers(t)
    test_families(t, ZONE)
    test_random_answers(t)


netns.enter()
tap.main(test)
