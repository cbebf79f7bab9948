"""Connections: a real courier dials, sends and closes, against scripted servers; the link full, the keeper silent, the
addresses dead."""
import contextlib
import os
import signal
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from lib import netns, tap
from lib.dnsd import Dnsd
from lib.drive import Drive
from lib.smtpd import Smtpd

PORT = 2525
DEAD4, DEAD6 = "203.0.113.", "2001:db8:dead::"
MEMORY_KB = 240000 if os.environ.get("ABIDE_SANITIZERS") == "1" else 60000
FULL_TEXT = "x" * 900


def message(directory, name="message", body="hello\n.a dot\n..\n\nno end"):
    path = os.path.join(directory, name)
    with open(path, "w", encoding="utf-8", newline="") as f:
        f.write("Subject: test\n\n" + body)
    return path


def server(*addresses, **options):
    return Smtpd(listen=[(a, PORT) for a in addresses or ["198.18.0.1"]], **options)


def dial(courier, conn, host, *addresses, kind="mx", port=PORT):
    courier.say(f"dial {conn} {host} {port} {kind} {' '.join(addresses)}")
    return courier.take(lambda l: l[0] in ("up", "fail") and l[1] == str(conn), 20)


def took(what):
    began = time.monotonic()
    result = what()
    return result, time.monotonic() - began


def quickest(courier, conn, host):
    """The first report of dialling HOST, and the least time of three: a busy machine is slow at times, not always."""
    tries = [took(lambda n=n: dial(courier, conn + n, host)) for n in range(3)]
    return tries[0][0], min(seconds for _, seconds in tries)


ZONE = {
    "mx.test": {"A": ["198.18.0.1"]},
    "both.test": {"A": ["198.18.0.1"], "AAAA": ["2001:db8:1::1"]},
    "dead6.test": {"A": ["198.18.0.1"], "AAAA": [DEAD6 + "1"]},
    "dead.test": {"A": [DEAD4 + "1", DEAD4 + "2"]},
    "mostly.test": {"A": [DEAD4 + "3", DEAD4 + "4", DEAD4 + "5", "198.18.0.1"]},
    "shut.test": {"A": ["198.18.9.9", "198.18.9.8"]},
    "nowhere.test": {"A": ["192.0.2.1"], "AAAA": ["2001:db8:ffff::1"]},
    "far.test": {"A": ["192.0.2.1", DEAD4 + "6"]},
    "mixed.test": {"A": ["192.0.2.1", "198.18.9.9", "198.18.0.1"]},
    "own.test": {"A": ["127.0.0.1"], "AAAA": ["::1"]}, "partly.test": {"A": ["127.0.0.1", "198.18.0.1"]},
    "iface.test": {"A": ["203.0.113.1"]},
    "group.test": {"A": ["224.0.0.1", "255.255.255.255"], "AAAA": ["ff02::1", "fe80::1"]},
    "none.test": {}, "sick.test": {"do": "SERVFAIL"}, "quiet.test": {"do": "silent"},
    "slow6.test": {"A": ["198.18.0.1"], "do": "silent-aaaa"},
    "many.test": {"A": [DEAD4 + str(i) for i in range(20, 60)]},
}

# host, why, phase, words of the text
FAILURES = [
    ("shut.test", "refused", "connect", "198.18.9.9 port 2525: Connection refused"),
    ("nowhere.test", "unreachable", "connect", "192.0.2.1 port 2525: No route to host"),
    ("far.test", "timeout", "connect", f"{DEAD4}6 port 2525: no answer in time"),
    ("dead.test", "timeout", "connect", "no answer in time"),
    ("many.test", "timeout", "connect", "no answer in time"),
    ("own.test", "no_address", "connect", "our own"),
    ("iface.test", "no_address", "connect", "our own"),
    ("group.test", "no_address", "dns", "no usable address"),
    ("none.test", "no_address", "dns", "no such record"),
    ("gone.test", "no_address", "dns", "no such domain"),
    ("sick.test", "dns", "dns", "fail to answer"),
    ("127.0.0.1", "no_address", "connect", "our own"),
    ("::1", "no_address", "connect", "our own"),
    ("0.0.0.0", "no_address", "connect", "our own"),
    ("no/name", "no_address", "connect", "neither a host name nor an address"),
]


def test_failures(t):
    with Dnsd(ZONE) as dns, Drive(resolver=dns.address, connect=2500, dns=2500) as courier:
        for conn, (host, why, phase, text) in enumerate(FAILURES, 1):
            line, seconds = took(lambda: dial(courier, conn, host))
            t.ok(line[0] == "fail" and line[2:4] == [why, phase] and text in line.text and seconds < 6, f"{host}: {why}",
                 f"{line} | {line.text}", seconds)
        courier.say("dial 90 quiet.test 25 mx")
        line, seconds = took(lambda: courier.wait("fail 90"))
        t.ok(line[2] in ("dns", "unreachable") and seconds < 6, "quiet.test: the look-up has its time too", line, seconds)


def test_addresses(t):
    with Dnsd(ZONE) as dns, server("198.18.0.1", "2001:db8:1::1") as smtp, Drive(resolver=dns.address, connect=20000, helo="me.test") as courier:
        t.equal(dial(courier, 1, "both.test")[2], "2001:db8:1::1", "both families: IPv6 first")
        up, seconds = took(lambda: dial(courier, 2, "dead6.test"))
        t.ok(up[2] == "198.18.0.1" and 0.2 < seconds < 3, "IPv6 is dead: IPv4 starts soon after", up, seconds)
        up, seconds = quickest(courier, 30, "dead6.test")
        t.ok(up[2] == "198.18.0.1" and seconds < 0.4, "and at once the next time", up, seconds)
        up, seconds = took(lambda: dial(courier, 4, "mostly.test"))
        t.ok(up[2] == "198.18.0.1" and seconds < 4, "three of four addresses dead: two seconds at most", up, seconds)
        up, seconds = quickest(courier, 50, "mixed.test")
        t.ok(up[2] == "198.18.0.1" and seconds < 0.4, "addresses that refuse or have no route cost no time", up, seconds)
        t.equal(dial(courier, 6, "partly.test")[2], "198.18.0.1", "our own address among others is passed over")
        t.equal(dial(courier, 7, "slow6.test")[:1], ["up"], "a resolver without an answer for AAAA does not keep us from the A")
        t.equal(dial(courier, 8, "mx.test", "198.18.9.9", "2001:db8:1::1")[2], "2001:db8:1::1", "given addresses go before the DNS")
        t.equal(dial(courier, 9, "2001:db8:1::1")[2], "2001:db8:1::1", "an address for a name")
        courier.say("setup ip=4 helo=me.test connect=5000 resolver=" + dns.address)
        t.equal(dial(courier, 10, "both.test")[2], "198.18.0.1", "ip 4: no IPv6")
        line = dial(courier, 11, "2001:db8:1::1")
        t.ok(line[2] == "no_address" and "family" in line.text, "not even where it is the name", line)
        courier.say("setup ip=6 helo=me.test connect=5000 resolver=" + dns.address)
        t.equal(dial(courier, 12, "both.test")[2], "2001:db8:1::1", "ip 6: no IPv4")
        t.equal([c["ip"] for c in smtp.record.find("conn")].count("198.18.0.1") >= 7, True, "the server saw them")


def test_relay(t):
    with Smtpd(listen=[("127.0.0.1", 0)]) as smtp, Drive(connect=3000) as courier:
        up = dial(courier, 1, "127.0.0.1", kind="relay", port=smtp.port)
        t.equal(up[:3], ["up", "1", "127.0.0.1"], "a relay may be ourselves")
        t.equal(dial(courier, 2, "localhost", "127.0.0.1", kind="relay", port=smtp.port)[0], "up", "also by a name of the hosts file")


def test_source_and_helo(t):
    with server("198.18.0.1", "2001:db8:1::1") as smtp, Drive(source4="198.18.5.5", source6="2001:db8:1::55") as courier, \
            tempfile.TemporaryDirectory() as directory:
        path = message(directory)
        for conn, address, source, helo in ((1, "198.18.0.1", "198.18.5.5", "[198.18.5.5]"),
                                            (2, "2001:db8:1::1", "2001:db8:1::55", "[IPv6:2001:db8:1::55]")):
            dial(courier, conn, address)
            courier.say(f"send {conn} {conn} {path} a@x.test b@y.test")
            courier.wait(f"done {conn} answered")
            seen = smtp.record.find("conn")[conn - 1]
            t.equal(seen["peer"], source, f"{source} is bound")
            t.equal(smtp.record.messages()[conn - 1].helo, helo, "without a name, the EHLO says the address")
        courier.say("setup source4=10.1.2.3 connect=2000")
        line = dial(courier, 3, "198.18.0.1")
        t.ok(line[2] == "unreachable" and "assign" in line.text, "a source address that is not ours: our own side", line, line.text)


def test_conversation(t):
    body = "Grüße\n.a dot\n..\n.\n\n" + "".join(f"line {i}\n" for i in range(20000)) + "no end"
    rules = [{"at": "rcpt", "rcpt": "dead@*", "reply": "550 5.1.1 no such user"}, {"at": "rcpt", "rcpt": "later@*", "reply": "451 4.7.1 greylisted"},
             {"at": "dot", "rcpt": "bad@*", "reply": ["554 5.7.1 first", "554 5.7.1 second"]}]
    with server(rules=rules) as smtp, Drive(helo="me.test") as courier, tempfile.TemporaryDirectory() as directory:
        path, small = message(directory, body=body), message(directory, "small")
        up = dial(courier, 1, "198.18.0.1")
        t.ok("pipelining" in up and "8bit" in up and up[-1] == "104857600", "up, with what the server can do", up)
        courier.say(f"send 1 10 {path} a@x.test dead@y.test b@y.test later@y.test say", f"send 1 11 {small} <> bad@y.test", f"send 1 12 {small} a@x.test c@y.test")
        t.equal(courier.wait("done 10")[2], "answered", "a message with mixed recipients is done")
        refused = {l[2]: l[4] for l in courier.collect("rcpt 10", 3)}
        t.equal(refused, {"0": "550", "2": "451", "-1": "250"}, "each has its own answer")
        line = courier.wait("rcpt 11")
        t.ok(line[3:5] == ["eom", "554"] and line.text == "554 5.7.1 first / 5.7.1 second", "a refusal after the dot, whole", line, line.text)
        t.equal([courier.wait(f"done {n}")[2] for n in (11, 12)], ["answered"] * 2, "those behind it go the same way")
        said = [l.text for l in courier.lines if l[0] == "said"]
        t.ok(">>> DATA" in said and any(s.startswith("<<< 550 5.1.1") for s in said), "the dialogue is told where it was asked for", said)
        courier.say("close 1")
        t.equal(courier.wait("closed 1")[2], "asked", "closed when asked to")
        got = smtp.record.messages()
        t.equal(got[0].text.decode(), "Subject: test\n\n" + body + "\n", "a body of 250 KB arrives as it was")
        t.equal(len(smtp.record.find("conn")), 1, "all on one connection")
        t.equal(smtp.record.violations(), [], "and nothing against the protocol")
        courier.say(f"send 1 13 {small} a@x.test c@y.test", f"send 77 14 {small} a@x.test c@y.test", "close 1", "close 77")
        t.equal([courier.wait(f"done {n}")[2] for n in (13, 14)], ["not_sent"] * 2, "no such connection any more: not sent")
        del courier.lines[:]
        t.ok(courier.quiet(), "and no word about closing it", lambda: courier.lines)


def test_greetings(t):
    rules = [{"at": "banner", "conn": 1, "reply": "554 5.7.1 go away"}, {"at": "banner", "conn": 2, "reply": "421 4.7.0 busy"},
             {"at": "banner", "conn": 3, "delay": 0.2, "do": "rst"}, {"at": "banner", "conn": 4, "do": "hang"}, {"at": "banner", "conn": 5, "raw": "HTTP/1.1 400\r\n"},
             {"at": "banner", "conn": 6, "do": "hang"}]
    with server(rules=rules) as smtp, Drive(helo="me.test", banner=700) as courier:
        for conn, want in enumerate((["reply", "banner", "554"], ["reply", "banner", "421"], ["dropped", "banner", "0"], ["timeout", "banner", "0"],
                                     ["protocol", "banner", "0"]), 1):
            line = dial(courier, conn, "198.18.0.1")
            t.equal([line[0], line[2], line[3], line[5]], ["fail"] + want, f"greeting {conn}: {' '.join(want)}", line.text)
            t.equal(line[4], "198.18.0.1", "with the address")
        courier.say("dial 6 198.18.0.1 2525 mx")
        smtp.record.wait(lambda r: len(r.find("conn")) == 6, 5)
        courier.say("close 6")
        t.equal(courier.wait("fail 6")[2], "asked", "closed before it was up: one WIRE_FAIL")
        courier.say("setup connect=20000", f"dial 7 {DEAD4}77 25 mx")
        time.sleep(0.2)
        courier.say("close 7")
        line, seconds = took(lambda: courier.wait("fail 7"))
        t.ok(line[2] == "asked" and seconds < 5, "closed while dialling: the same", line)


def test_breaks(t):
    rules = [{"at": "dot", "conn": 1, "do": "rst"}, {"at": "dot", "conn": 2, "do": "close", "reply": "421 4.3.2 shutting down"}, {"at": "body", "conn": 3, "bytes": 5, "do": "rst"},
             {"at": "dot", "conn": 4, "do": "hang"}, {"at": "idle", "conn": 5, "state": "between", "reply": "421 4.4.2 idle too long"},
             {"at": "mail", "conn": 6, "msg": 2, "reply": "421 4.7.0 enough"}]
    with server(rules=rules) as smtp, Drive(helo="me.test", eom=700) as courier, tempfile.TemporaryDirectory() as directory:
        path, large = message(directory), message(directory, "large", "x" * 70 + "\n" + ("y" * 70 + "\n") * 100000)
        for conn, file, done, why in ((1, path, "in_doubt", "dropped"), (2, path, "answered", "reply"), (3, large, "not_sent", "dropped"), (4, path, "in_doubt", "timeout")):
            dial(courier, conn, "198.18.0.1")
            courier.say(f"send {conn} {conn} {file} a@x.test b@y.test")
            first = courier.wait(f"done {conn}")
            last = courier.wait(f"closed {conn}")
            t.ok((first[2], last[2]) == (done, why) and first.at <= last.at, f"break {conn}: {done}, {why}", first, last, last.text)
        dial(courier, 5, "198.18.0.1")
        courier.say(f"send 5 5 {path} a@x.test b@y.test")
        t.equal(courier.wait("done 5")[2], "answered", "delivered")
        line = courier.wait("closed 5")
        t.equal([line[2], line[3], line[5]], ["reply", "idle", "421"], "then a 421 nobody asked for")
        dial(courier, 6, "198.18.0.1")
        courier.say(*[f"send 6 {n} {path} a@x.test b@y.test" for n in (61, 62, 63)])
        t.equal([courier.wait(f"done {n}")[2] for n in (61, 62, 63)], ["answered", "not_sent", "not_sent"], "421 at the second message: those behind it are unharmed")
        t.equal(courier.wait("closed 6")[5], "421", "and the connection is over")
        t.equal(smtp.record.violations(), [], "nothing against the protocol")


@contextlib.contextmanager
def deaf_server(address):
    """Greets, answers what comes, and after DATA reads nothing any more."""
    with socket.create_server((address, PORT)) as listening:
        def serve():
            with contextlib.suppress(OSError):
                connection, _ = listening.accept()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.sendall(b"220 deaf\r\n")
                for line in connection.makefile("rb"):
                    connection.sendall(b"354 go\r\n" if line.startswith(b"DATA") else b"250 ok\r\n")
                    if line.startswith(b"DATA"):
                        held.append(connection)
                        return

        held = []
        threading.Thread(target=serve, daemon=True).start()
        yield
        for connection in held:
            connection.close()


def test_one_that_never_reads(t):
    with deaf_server("198.18.3.3"), server() as smtp, Drive(helo="me.test", body=3000) as courier, tempfile.TemporaryDirectory() as directory:
        path, large = message(directory), message(directory, "large", ("y" * 70 + "\n") * 300000)
        dial(courier, 1, "198.18.3.3")
        dial(courier, 2, "198.18.0.1")
        courier.say(f"send 1 1 {large} a@x.test b@y.test")
        before = courier.ticks()
        for flight in range(100, 140):
            courier.say(f"send 2 {flight} {path} a@x.test b@y.test")
            courier.wait(f"done {flight} answered")
        t.ok(True, "another connection goes on beside one that never reads")
        line = courier.wait("closed 1")
        t.ok(line[2:4] == ["timeout", "body"], "which ends by its deadline", line)
        t.equal(courier.wait("done 1")[2], "not_sent", "unharmed")
        t.ok(courier.ticks() - before < 150, "and costs no time waiting", courier.ticks() - before)
        t.ok(courier.memory_kb() < MEMORY_KB, "nor memory", courier.memory_kb())
        t.equal(smtp.record.violations(), [], "nothing against the protocol")


def test_full_link(t):
    """The keeper does not read: nothing is lost, nothing grows, everything goes on afterwards."""
    hosts = [(i, f"{'n' * 60}.{'m' * 60}.{'o' * 60}.h{i}.test") for i in range(64)]
    zone = {"big.test": {"MX": hosts}, **{name: {"A": ["198.18.0.1"]} for _, name in hosts}}
    rules = [{"at": "rcpt", "reply": "550 5.1.1 " + FULL_TEXT}]
    rcpts = " ".join(f"r{i}@y.test" for i in range(100))
    with Dnsd(zone) as dns, server(rules=rules) as smtp, Drive(helo="me.test", resolver=dns.address) as courier, tempfile.TemporaryDirectory() as directory:
        path = message(directory)
        for conn in range(1, 31):
            dial(courier, conn, "198.18.0.1")
        courier.say("lookup 1 big.test me.test")
        t.equal(len(courier.wait("route 1")), 4 + 64, "a route of 13 KB")
        courier.say("deaf", *[f"send {conn} {1000 * n + conn} {path} a@x.test {rcpts}" for n in (1, 2, 3) for conn in range(1, 31)],
                    *[f"lookup {n} big.test me.test" for n in range(100, 600)])
        time.sleep(2)
        before = courier.ticks()
        t.ok(courier.quiet(1), "the keeper is deaf")
        t.ok(courier.ticks() - before < 40, "the courier waits for it and does not spin", courier.ticks() - before)
        t.ok(courier.memory_kb() < MEMORY_KB, "its memory is bounded", courier.memory_kb())
        courier.say("listen")
        for n in (1, 2, 3):
            for conn in range(1, 31):
                courier.wait(f"done {1000 * n + conn} answered", 60)
        for n in range(100, 600):
            courier.wait(f"route {n} ok", 60)
        t.equal(len([l for l in courier.lines if l[0] == "rcpt"]), 9000, "9,000 answers of recipients, each once")
        courier.lines.clear()
        t.ok(courier.quiet(), "and all routes")
        courier.say(f"send 1 9 {path} a@x.test b@y.test")
        t.equal(courier.wait("done 9")[2], "answered", "and on it goes")
        t.equal(smtp.record.violations(), [], "nothing against the protocol")
    t.equal(courier.status, "exit 0", "the courier lived through it")


def test_finish(t):
    """The keeper closes its sending side: final dots may have their answer."""
    with tempfile.TemporaryDirectory() as directory:
        path = message(directory)
        rules = [{"at": "dot", "conn": 1, "hold": 1.5}, {"at": "dot", "conn": 2, "do": "hang"}, {"at": "rcpt", "conn": 3, "do": "hang"}]
        with server(rules=rules) as smtp, Drive(helo="me.test") as courier:
            for conn in (1, 2, 3, 4):
                dial(courier, conn, "198.18.0.1")
            courier.say(*[f"send {conn} {conn} {path} a@x.test b@y.test" for conn in (1, 2, 3)], f"send 1 11 {path} a@x.test b@y.test",
                        f"dial 5 {DEAD4}88 25 mx")
            smtp.record.wait(lambda r: len([e for e in r.find("cmd") if e["line"] == "DATA"]) >= 2, 5)
            time.sleep(0.3)
            os.kill(courier.pid, signal.SIGTERM)
            began = time.monotonic()
            courier.say("finish")
            t.equal([courier.wait(f"closed {n}")[2] for n in (3, 4)], ["asked"] * 2, "an idle one and one amid its recipients are cut at once")
            t.equal(courier.wait("done 3")[2], "not_sent", "its message is unharmed")
            t.equal(courier.wait("fail 5")[2], "asked", "a dial is given up")
            t.ok(time.monotonic() - began < 4, "at once")
            t.equal(courier.wait("done 1")[2], "answered", "a final dot has its answer, even after SIGTERM")
            t.equal(courier.wait("done 11")[2], "not_sent", "what was to follow it is not sent")
            t.equal(courier.end(), "exit 0", "it ends")
            t.ok(8 < time.monotonic() - began < 20, "after ten seconds, if a final dot has no answer", time.monotonic() - began)
        with server() as smtp, Drive(helo="me.test") as courier:
            dial(courier, 1, "198.18.0.1")
            _, seconds = took(lambda: (courier.say("finish"), courier.end()))
            t.ok(courier.status == "exit 0" and seconds < 4, "with nothing in doubt it ends at once", courier.status, seconds)


def test_bad_keeper(t):
    with Drive() as courier:
        courier.say("lookup 1 x.test me.test")
        t.equal(courier.end(), "exit 76", "a request before the set-up: a protocol error")
        t.ok("before the set-up" in courier.wait("log").text, "and the log says so")
    with Drive(source4="::1") as courier:
        t.equal(courier.end(), "exit 76", "a source address of the wrong family: the same")
    with Drive(helo="me.test") as courier:
        courier.say(f"dial 1 {DEAD4}5 25 mx", f"dial 1 {DEAD4}5 25 mx")
        t.equal(courier.end(), "exit 76", "a connection's number used twice: the same")


def test_flood(t):
    """Many small messages over many connections at once; and a server that resets them all."""
    with tempfile.TemporaryDirectory() as directory, server(keep=False) as smtp, Drive(helo="me.test") as courier:
        path = message(directory)
        for conn in range(1, 21):
            dial(courier, conn, "198.18.0.1")
        courier.say(f"flood 2000 {path}")
        t.equal(courier.wait("flooded", 60)[1], "2000", "2,000 messages over 20 connections, each answered once")
        t.equal(len(smtp.record.find("msg")), 2000, "all arrived")
        t.equal(smtp.record.violations(), [], "nothing against the protocol")
        courier.say(f"flood 2000 {path}")
        time.sleep(0.2)
        smtp.stop()
        closed = courier.collect("closed", 20)
        t.ok(all(l[2] in ("dropped", "reply") for l in closed), "20 connections break: 20 are reported", closed)
    t.equal(courier.status, "exit 0", "the courier lives on")


def test(t):
    for part in (test_failures, test_addresses, test_relay, test_source_and_helo, test_conversation, test_greetings, test_breaks,
                 test_one_that_never_reads, test_full_link, test_finish, test_bad_keeper, test_flood):
        try:
            part(t)
        except (TimeoutError, AssertionError) as e:
            t.ok(False, f"{part.__name__}: {e}"[:1000])


netns.enter()
tap.main(test)
