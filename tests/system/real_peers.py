"""Messages arrive at the servers most of the world runs, and arrive as they were: a Postfix behind postgrey with its own 300 s, an
Exim that answers 421 to the first connections, an OpenSMTPD. All programs share one virtual clock, except the servers themselves;
the way leads through a real BIND. Every byte of every message is compared."""
import base64
import collections
import email
import os
import random
import re
import sys

sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
from lib import netns, tap
from lib.clock import library
from lib.spool import ID

from peers import fetch

fetch.prepare("postfix", "exim", "opensmtpd", "named")
netns.enter()
from lib.abide import Abide
from peers import exim, named, opensmtpd, postfix
from peers.root import Unavailable

DNS = ("198.18.0.53", 53)
DOMAINS = {"postfix.test": ("198.18.0.10", 25), "exim.test": ("198.18.0.11", 25), "opensmtpd.test": ("198.18.0.12", 25)}
GREYLISTED = "postfix.test"
WINDOW, SOON = 300, 60                  # seconds; when the greylisting is over it comes back within so many
REFUSED = 3                             # connections that Exim answers with 421
AT_ONCE = "smtp_accept_queue_per_connection = 0"         # else Exim leaves the eleventh message of a connection to a queue run
SENDER = "me@sender.test"
HOURS = 3600
OURS = re.compile(rb"Received: from \S+ \(uid \d+\)\n\tby client\.test \(abide \S+\) id (" + ID.encode() + rb")(?:\n\tfor <[^>]*>)?;\n\t[^\n]+\n")
HEAD = ("From: Caf\u00e9 <me@sender.test>\nTo: \"Some, One\" <you@there.test>,\n\tanother@there.test\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n"
        "Date: Sat, 21 Nov 2026 03:00:00 +0000\nMessage-ID: <one@sender.test>\nX-Spaces:   two  and a tab\t\n").encode()
MIME = b"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: "
UTF8 = HEAD + MIME + b"8bit\n\n" + "Grüße, \u65e5\u672c\u8a9e, \U0001f4ec, e\u0301\n".encode() * 3
DOTS = HEAD + b"\n.\n..\n...three\n. \n.\t\n\n.\n\n" + b"".join(b"." * n + b"\n" for n in range(1, 90)) + b"text.\n.text\n.\n"
LONG = b"".join(b"%d " % n for n in range(400))[:1500]


def attachment():
    """25 MB and more on the wire, of bytes that nothing can foresee."""
    data = random.Random(25).randbytes(19_500_000)
    head = HEAD + b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"=_b\"\n\n"
    part = b"--=_b\nContent-Type: application/octet-stream\nContent-Disposition: attachment; filename=\"a.bin\"\n" \
        b"Content-Transfer-Encoding: base64\n\n"
    return head + b"--=_b\nContent-Type: text/plain\n\nSee there.\n" + part + base64.encodebytes(data) + b"--=_b--\n"


MESSAGES = {
    "attachment": attachment(),
    "utf8": UTF8,
    "dots": DOTS,
    "noend": HEAD + b"\nno newline here",
    "dotend": HEAD + b"\n.",
    "crlf": (HEAD + b"\nCRLF\n\n.\n..x\nline ends\n").replace(b"\n", b"\r\n"),
    "blank": HEAD + b"\n\n\n  leading\ntrailing  \t\n\n\n\n",
    "empty": HEAD + b"\n",
    "998": HEAD + b"\n" + LONG[:998] + b"\n." + LONG[:997] + b"\nshort\n",
    "long": HEAD + b"\nbefore\n" + LONG + b"\n.\nafter\n",
    "longutf8": HEAD + MIME + b"8bit\n\n" + "Grüße ".encode() * 214 + b"\n" + LONG + b"\n",
    "many": HEAD + b"\none text for all\n",
}
CONVERTED = ("long", "longutf8")
BOXES = {"many": ("many1", "many2", "many3")}           # the others have one recipient a domain, of their own name


def boxes(name):
    return BOXES.get(name, (name,))


def expected(name):
    """What is to arrive: LF here, CRLF on the way, and a line end behind the last line."""
    text = MESSAGES[name].replace(b"\r\n", b"\n")
    return text if text.endswith(b"\n") else text + b"\n"


def difference(got, want):
    at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
    return f"{len(got)} bytes for {len(want)}, other from {at} on: {got[max(0, at - 80):at + 80]!r} for {want[max(0, at - 80):at + 80]!r}"


def fields(text):
    """The lines of a header, but those that MIME may change."""
    head = re.sub(rb"\n[ \t]+", b" ", text.partition(b"\n\n")[0])
    return [line for line in head.split(b"\n") if not re.match(rb"(?i)(mime-version|content-)", line)]


def same_converted(t, where, got, want):
    """The same once decoded, in lines that every server takes."""
    mail = email.message_from_bytes(got)
    t.equal(mail.defects, [], f"{where}: it is proper MIME")
    t.equal(max(map(len, got.split(b"\n"))) <= 998, True, f"{where}: no line is over 998 bytes")
    t.ok(mail["Content-Transfer-Encoding"] in ("quoted-printable", "base64"), f"{where}: it is encoded", mail["Content-Transfer-Encoding"])
    t.equal(fields(got), fields(want), f"{where}: all other fields are as they were")
    body, sent = mail.get_payload(decode=True).replace(b"\r\n", b"\n"), want.partition(b"\n\n")[2]
    t.ok(body == sent, f"{where}: decoded, its body is byte for byte what was sent", lambda: difference(body, sent))


def same(t, where, name, message):
    """Its ID, from our own Received."""
    ours = OURS.match(message.data)
    if not t.ok(ours, f"{where}: our Received is on top of what was sent", message.data[:400]):
        return None
    got, want = message.data[ours.end():], expected(name)
    if name in CONVERTED:
        same_converted(t, where, got, want)
    else:
        t.ok(got == want, f"{where}: {len(want)} bytes, each as it was", lambda: difference(got, want))
    t.equal(message.sender, SENDER, f"{where}: from the sender")
    return ours[1].decode()


def arrived(t, domain, peer):
    """{name: ID}"""
    found = collections.defaultdict(list)
    for message in peer.messages():
        found[message.recipient].append(message)
    t.equal({r: len(m) for r, m in found.items()}, {f"{b}@{domain}": 1 for n in MESSAGES for b in boxes(n)}, f"{domain}: one copy for each recipient",
            peer.log)
    return {name: same(t, f"{domain}, {box}", name, message)
            for name in MESSAGES for box in boxes(name) for message in found[f"{box}@{domain}"]}


def greylisting(t, a, peer):
    """By postgrey's own book, and by ours."""
    seen = collections.defaultdict(list)
    for action, recipient in re.findall(r"action=(\w+), .*recipient=(\S+)", peer.log()):
        seen[recipient].append(action)
    t.equal(dict(seen), {f"{b}@{GREYLISTED}": ["greylist", "pass"] for n in MESSAGES for b in boxes(n)},
            "postgrey refuses each recipient once, and lets it in at the first retry", peer.log)
    delays = [int(d) for d in re.findall(r"action=pass, .*delay=(\d+)", peer.log())]
    t.ok(all(WINDOW <= d <= WINDOW + SOON for d in delays), f"after its {WINDOW} s and within {SOON} more", delays)
    t.diag(f"back after {min(delays)} to {max(delays)} s")
    t.equal(sorted(line.address for line in a.log("==")), sorted(seen), "nothing else was deferred")


def told(t, a, ids):
    for name, ident in ids.items():
        lines = a.log(id=ident)
        count = collections.Counter((line.flag or line.text) for line in lines)
        at_each, more = len(DOMAINS), len(DOMAINS) * (len(boxes(name)) - 1)
        t.equal((count["<="], count["=>"], count["->"], count["**"], count["Completed"]), (1, at_each, more, 0, 1),
                f"{name}: its lines in the log: in, out, over", *lines)


def one_transaction(t, a, ident, peer):
    """Several recipients are one entry of Postfix's queue."""
    replies = {line.fields["C"] for line in a.log(id=ident) if line.flag in ("=>", "->") and line.address.endswith(f"@{GREYLISTED}")}
    t.equal(len(replies), 1, "three recipients have one answer", replies)
    queued = re.search(r"queued as (\w+)", "".join(replies))
    entry = re.findall(rf"{queued[1]}: from=<{SENDER}>, size=\d+, nrcpt=(\d+)", peer.log()) if queued else []
    t.equal(entry, ["3"], "and are one entry of Postfix's queue", peer.log)


def exchange(t, a, peers):
    for name, text in MESSAGES.items():
        r = a.submit("-i", "-f", SENDER, *(f"{box}@{domain}" for domain in DOMAINS for box in boxes(name)), data=text)
        t.equal((r.status, r.out, r.err), (0, b"", b""), f"sendmail takes {name}", r)
    total = sum(len(boxes(name)) for name in MESSAGES)
    a.wait_for(lambda: len(a.log("==")) >= total, 60, "all of postgrey's refusals")         # no time passes before: Postfix thinks
    a.wait_for(lambda: [line for line in a.log() if "host=mx.exim.test" in line.raw], 60, "Exim's first")      # about each for a second
    a.settle()
    t.ok(a.live(lambda: all(len(p.messages()) >= total for p in peers.values()), HOURS, step=15), "all has arrived at all three", a.log_tail)
    t.ok(a.live(a.spool.empty, 60, step=1), "and the queue is empty", a.log_tail)


def main(t):
    if library() is None:
        raise Unavailable("libfaketime is not installed")
    zones = {domain: f"@ MX 10 mx\nmx A {address}" for domain, (address, _) in DOMAINS.items()}
    with named.start([DNS], zones), Abide({"resolver": "%s:%d" % DNS}, clock=True) as a, \
            postfix.start([DOMAINS["postfix.test"]], greylist=WINDOW, clock=a.clock) as one, \
            exim.start([DOMAINS["exim.test"]], refuse_first=REFUSED, main=AT_ONCE) as two, opensmtpd.start([DOMAINS["opensmtpd.test"]]) as three:
        a.start()
        peers = dict(zip(DOMAINS, (one, two, three)))
        began = a.now()
        exchange(t, a, peers)
        t.diag(f"all there after {a.now() - began:.0f} virtual seconds")
        ids = [arrived(t, domain, peer) for domain, peer in peers.items()]
        t.ok(ids[0] == ids[1] == ids[2] and len(set(ids[0].values())) == len(MESSAGES), "one message is one ID everywhere", ids)
        greylisting(t, a, one)
        one_transaction(t, a, ids[0]["many"], one)
        told(t, a, ids[0])
        t.equal(two.refused(), REFUSED, "Exim refused as many connections as it was told to, and no message waited for it longer than that")
        t.equal(a.stop(), 0, "abided ends well")
        t.equal((a.spool.dead(), os.listdir(os.path.join(a.spool.path, "trail"))), ([], []), "nothing is left in the spool")


def test(t):
    try:
        main(t)
    except Unavailable as e:
        t.skip("real peers", e)


tap.main(test)
