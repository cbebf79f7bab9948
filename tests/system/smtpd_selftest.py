"""The scripted SMTP server is a measuring instrument: this shows that it does what it is told, sees every misdeed of a
client, and accuses no honest one."""
import contextlib
import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import time

sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
from lib import tap
from lib.clock import Clock
from lib.smtpd import Smtpd
from lib.smtprecord import Recording

WAIT = 10
ENVELOPE = "EHLO c.test\r\n", "MAIL FROM:<a@x.test>\r\n", "RCPT TO:<b@y.test>\r\n", "DATA\r\n"


class Wire:
    """A client that may misbehave."""

    def __init__(self, server):
        self.socket = socket.create_connection(server.addresses[0], WAIT)
        self.file = self.socket.makefile("rb")

    def send(self, *texts):
        self.socket.sendall("".join(texts).encode("latin-1"))

    def reply(self):
        """The next reply, whole; "" at the end of the connection."""
        lines = []
        while True:
            try:
                line = self.file.readline().decode("latin-1")
            except ConnectionResetError:
                return "RST"
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                return "\n".join(lines)

    def say(self, *texts):
        """One after the other, each after the reply to the one before; the last reply."""
        for text in texts:
            self.send(text)
            answer = self.reply()
        return answer

    def silent_for(self, seconds):
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) is None
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(WAIT)

    def close(self):
        self.file.close()
        self.socket.close()


@contextlib.contextmanager
def serving(**options):
    with Smtpd(**options) as server:
        wire = Wire(server)
        try:
            yield server, wire
        finally:
            wire.close()


def ended(server, count=1):
    """The violations, once COUNT connections are over."""
    server.record.wait(lambda r: len(r.find("end")) >= count, WAIT)
    return [e["what"] for e in server.record.find("violation")]


def test_honest_client(t):
    body = b"Subject: x\r\n\r\n.\r\n..two\r\nplain\r\n.end\r\n\xc3\xa9\r\n"
    with Smtpd(listen=[("127.0.0.1", 0)]) as server:
        with smtplib.SMTP("127.0.0.1", server.port, local_hostname="c.test", timeout=WAIT) as c:
            c.sendmail("a@x.test", ["b@y.test", "c@y.test"], body, mail_options=["BODY=8BITMIME"])
            c.sendmail("", ["b@y.test"], b"second\r\n")
        t.equal(ended(server), [], "an honest client is accused of nothing")
        first, second = server.record.messages()
        t.equal((first.data, first.sender, first.recipients, first.params["BODY"], first.helo),
                (body, "a@x.test", ["b@y.test", "c@y.test"], "8BITMIME", "c.test"), "message and envelope are exact")
        t.equal((second.sender, second.data), ("", b"second\r\n"), "null reverse-path")
        t.equal((first.header("subject"), first.body), ("x", body.replace(b"\r\n", b"\n")[12:]), "header and body are told apart")
        t.equal(server.record.copies(lambda m: m.sha), {("b@y.test", first.sha): 1, ("c@y.test", first.sha): 1, ("b@y.test", second.sha): 1},
                "copies are counted per recipient")
        t.equal([c["end"] for c in server.record.connections()], ["quit"], "ended by QUIT")


def test_honest_pipelining(t):
    """Groups as RFC 2920 allows them: the dot first in a group, DATA and QUIT last."""
    with serving() as (server, w):
        w.reply()
        w.say(ENVELOPE[0])
        w.send(*ENVELOPE[1:])
        got = [w.reply()[:3] for _ in range(3)]
        w.send("hello\r\n.\r\n", *ENVELOPE[1:])
        got += [w.reply()[:3] for _ in range(4)]
        w.send("again\r\n.\r\n", "QUIT\r\n")
        got += [w.reply()[:3] for _ in range(2)]
        t.equal(got, ["250", "250", "354", "250", "250", "250", "354", "250", "221"], "replies to groups come in order")
        t.equal(ended(server), [], "no accusation")
        t.equal([m.data for m in server.record.messages()], [b"hello\r\n", b"again\r\n"], "both messages are there")


def test_violations(t):
    long_line = "x" * 999
    cases = [       # name in the record, capabilities, what is sent in one piece after the (unread) greeting or step by step
        ("talk before the banner", None, [], "EHLO c.test\r\n"),
        ("early command", [], [ENVELOPE[0]], ENVELOPE[1] + ENVELOPE[2]),
        ("not last in its group", None, [ENVELOPE[0], *ENVELOPE[1:3]], "DATA\r\nhello\r\n.\r\n"),
        ("not last in its group", None, [ENVELOPE[0]], "NOOP\r\nMAIL FROM:<a@b>\r\n"),
        ("body without 354", None, [ENVELOPE[0]], "DATA\r\nSubject: x\r\n"),
        ("body without recipient", None, [ENVELOPE[0], ENVELOPE[1], "DATA\r\n"], "hello\r\n.\r\n"),
        ("bare LF", None, ENVELOPE, "one\ntwo\r\n.\r\n"),
        ("bare LF", None, ENVELOPE, "one\n.\ntwo\r\n.\r\n"),
        ("bare LF", None, [], "EHLO c.test\n"),
        ("bare CR", None, ENVELOPE, "one\rtwo\r\n.\r\n"),
        ("NUL", None, ENVELOPE, "one\0two\r\n.\r\n"),
        ("unstuffed dot", None, ENVELOPE, ".one\r\n.\r\n"),
        ("unstuffed dot", None, ENVELOPE, "zero\r\n.one\r\n.\r\n"),
        ("long line", None, ENVELOPE, long_line + "\r\n.\r\n"),
        ("long command", None, [], "EHLO " + "x" * 600 + "\r\n"),
        ("8-bit data", None, ENVELOPE, "\xe9\r\n.\r\n"),
        ("parameter not offered", [], [ENVELOPE[0]], "MAIL FROM:<a@b> SIZE=10\r\n"),
        ("parameter not offered", [], [ENVELOPE[0]], "MAIL FROM:<a@b> BODY=8BITMIME\r\n"),
        ("parameter not offered", None, ENVELOPE[:3], "BDAT 3 LAST\r\n"),
        ("size understated", None, [ENVELOPE[0], "MAIL FROM:<a@b> SIZE=3\r\n", *ENVELOPE[2:]], "hello\r\n.\r\n"),
        ("syntax", None, [ENVELOPE[0]], "MAIL FROM: <a@b>\r\n"),
        ("syntax", None, [ENVELOPE[0]], "MAIL FROM:a@b\r\n"),
        ("syntax", None, [ENVELOPE[0]], "FROB\r\n"),
        ("sequence", None, [], "MAIL FROM:<a@b>\r\n"),
        ("sequence", None, ENVELOPE[:2], "MAIL FROM:<a@b>\r\n"),
        ("command after QUIT", None, [ENVELOPE[0]], "QUIT\r\nNOOP\r\n"),
    ]
    for what, caps, before, piece in cases:
        options = {"caps": caps} if caps is not None else {}
        if what == "talk before the banner":
            options["rules"] = [{"at": "banner", "delay": 0.2}]
        if what == "body without recipient":
            options["take_empty"] = True
        if what in ("early command", "command after QUIT") or piece.startswith("NOOP"):
            options["latency"] = 0.1
        with serving(**options) as (server, w):
            if what != "talk before the banner":
                w.reply()
            if before:
                w.say(*before)
            w.send(piece)
            w.reply()
            w.socket.shutdown(socket.SHUT_WR)
            seen = ended(server)
            t.ok(what in seen and not set(seen) - {what, "not last in its group", "syntax"}, f"noted: {what} ({piece[:24]!r})", seen)
    with serving(rules=[{"at": "banner", "reply": "554 no"}]) as (server, w):
        t.equal((w.reply(), w.say("EHLO c.test\r\n")[:3]), ("554 no", "503"), "a refused greeting leaves only QUIT")
        t.equal(w.say("QUIT\r\n")[:3], "221", "which is answered")
        t.equal(ended(server), ["command after refused greeting"], "noted: command after refused greeting")
    for caps, gap in (([], 0.0), (["PIPELINING"], 0.6)):
        with serving(caps=caps, rules=[{"at": "mail", "reply": "421 4.3.2 off you go"}]) as (server, w):
            w.reply()
            t.equal(w.say(*ENVELOPE[:2])[:3], "421", "421 at MAIL")
            time.sleep(gap)
            w.send("RCPT TO:<b@y.test>\r\n")
            w.close()
            t.equal(ended(server), ["command after 421"], f"noted: command after 421, capabilities {caps}")


def test_421_everywhere(t):
    points = {"banner": [], "ehlo": ENVELOPE[:1], "mail": ENVELOPE[:2], "rcpt": ENVELOPE[:3], "data": ENVELOPE, "dot": [*ENVELOPE, "hello\r\n.\r\n"]}
    for at, steps in points.items():
        with serving(rules=[{"at": at, "reply": "421 4.3.2 try later"}]) as (server, w):
            got = [w.reply()] + [w.say(s) for s in steps]
            t.equal((got[-1], w.reply()), ("421 4.3.2 try later", ""), f"421 at {at}, then the end of the connection")
            w.close()
            t.equal((ended(server), len(server.record.messages())), ([], 0), f"421 at {at}: nothing taken, nobody accused")
    for state, steps in (("start", ENVELOPE[:1]), ("mail", ENVELOPE[:2]), ("between", [*ENVELOPE, "hello\r\n.\r\n"])):
        with serving(rules=[{"at": "idle", "state": state, "delay": 0.1, "reply": "421 4.4.2 idle too long"}]) as (server, w):
            w.reply()
            w.say(*steps)
            t.equal((w.reply(), w.reply()), ("421 4.4.2 idle too long", ""), f"unasked 421, state {state}")
            w.close()
            t.equal(ended(server), [], "nobody accused")
    with serving(rules=[{"at": "body", "bytes": 1000, "reply": "421 4.3.0 enough"}]) as (server, w):
        w.reply()
        w.say(*ENVELOPE)
        w.send("x" * 70 + "\r\n", *(["y" * 70 + "\r\n"] * 40), ".\r\n")
        t.equal(w.reply(), "421 4.3.0 enough", "421 in the middle of the body")
        w.close()
        t.equal((ended(server), len(server.record.find("partial"))), ([], 1), "noted as a part of a message")


def test_deeds(t):
    with serving(rules=[{"at": "dot", "do": "rst", "accept": True, "times": 1}]) as (server, w):
        w.reply()
        t.equal(w.say(*ENVELOPE, "hello\r\n.\r\n"), "RST", "taken, and reset before the reply")
        t.equal((ended(server), len(server.record.messages()), server.record.replies("dot")), ([], 1, []), "it counts as a copy")
    with serving(rules=[{"at": "dot", "do": "close"}]) as (server, w):
        w.reply()
        t.equal(w.say(*ENVELOPE, "hello\r\n.\r\n"), "", "closed in place of the reply")
        w.close()
        ended(server)
        t.equal((len(server.record.messages()), len(server.record.find("refused"))), (0, 1), "not taken")
    with serving(rules=[{"at": "rcpt", "do": "hang"}]) as (server, w):
        w.reply()
        w.say(*ENVELOPE[:2])
        w.send(ENVELOPE[2])
        t.ok(w.silent_for(0.3), "hangs at RCPT")
        w.close()
        t.equal((ended(server), server.record.connections()[0]["end"]), ([], "client"), "and sees the client go")
    with serving(rules=[{"at": "ehlo", "raw": "250-a\r\n250 b\r\n250 stray\r\n"}, {"at": "mail", "reply": ["450 4.2.0 one", "450 4.2.0 two"]},
                        {"at": "noop", "reply": "250 slow", "dribble": 0.01},
                        {"at": "rset", "do": "stay", "reply": "421 4.3.0 but stays"}]) as (server, w):
        w.reply()
        t.equal((w.say(ENVELOPE[0]), w.reply()), ("250-a\n250 b", "250 stray"), "raw bytes, and a stray reply behind")
        t.equal(w.say(ENVELOPE[1]), "450-4.2.0 one\n450 4.2.0 two", "a reply of two lines")
        t.equal(w.say("NOOP\r\n"), "250 slow", "byte by byte")
        t.equal((w.say("RSET\r\n"), w.say("QUIT\r\n")[:3]), ("421 4.3.0 but stays", "221"), "a 421 that does not close")
    with serving(rules=[{"at": "dot", "hold": 0.5}, {"at": "mail", "delay": 0.3}]) as (server, w):
        w.reply()
        start = time.monotonic()
        w.say(*ENVELOPE)
        t.ok(time.monotonic() - start >= 0.3, "delay")
        w.send("hello\r\n.\r\n")
        server.record.wait_messages(1, WAIT)
        t.ok(w.silent_for(0.2), "the record of a message comes before its 250")
        t.equal(w.reply()[:3], "250", "which comes too")


def test_matching(t):
    rules = [{"at": "rcpt", "rcpt": "Dead@*", "reply": "550 5.1.1 dead"}, {"at": "rcpt", "from": "spam@*", "reply": "554 5.7.1 spam"},
             {"at": "mail", "conn": "odd", "msg": 2, "reply": "452 4.3.1 not now"},
             {"at": "rcpt", "rcpt": "late@*", "skip": 1, "times": 2, "reply": "450 4.2.1 later"},
             {"at": "banner", "conn": "3-", "reply": "554 closed"}]
    with Smtpd(rules=rules) as server:
        for number in (1, 2, 3):
            w = Wire(server)
            got = [w.reply()[:3]]
            if number < 3:
                w.say(ENVELOPE[0])
                for rcpt in ("dead", "late", "late", "late", "late", "b"):
                    got.append(w.say("MAIL FROM:<a@x.test>\r\n")[:3])
                    got.append(w.say(f"RCPT TO:<{rcpt}@y.test>\r\n")[:3])
                    w.say("RSET\r\n")
                w.say("MAIL FROM:<spam@x.test>\r\n")
                got.append(w.say("RCPT TO:<b@y.test>\r\n")[:3])
            w.say("QUIT\r\n")
            w.close()
            # connection 1: the second MAIL is refused for good (a refused one does not count), so all later RCPT get 503
            t.equal(got, {1: ["220", "250", "550"] + ["452", "503"] * 5 + ["503"],
                          2: ["220", "250", "550", "250", "250", "250", "450", "250", "450", "250", "250", "250", "250", "554"],
                          3: ["554"]}[number], f"rules by connection, message, sender, recipient, count: connection {number}")


def test_extensions(t):
    with serving(caps=None) as (server, w):
        w.reply()
        t.equal((w.say("EHLO c.test\r\n")[:3], w.say("HELO c.test\r\n")[:3]), ("502", "250"), "a server that knows HELO only")
    with serving(caps=["SIZE 100", "CHUNKING", "PIPELINING"]) as (server, w):
        t.equal(w.reply() and w.say(ENVELOPE[0]), "250-mx.test\n250-SIZE 100\n250-CHUNKING\n250 PIPELINING", "capabilities as told")
        t.equal(w.say("MAIL FROM:<a@b> SIZE=101\r\n")[:3], "552", "SIZE refused at MAIL")
        w.say(*ENVELOPE[1:3])
        w.send("BDAT 7\r\nhello\r\nBDAT 4 LAST\r\n.x\r\n", ENVELOPE[1])
        t.equal([w.reply()[:3] for _ in range(3)], ["250", "250", "250"], "chunks, and the next envelope behind the last one")
        t.equal(server.record.messages()[0].data, b"hello\r\n.x\r\n", "are put together, dots untouched")
        w.say(*ENVELOPE[2:])
        t.equal(w.say("x" * 120 + "\r\n.\r\n")[:3], "552", "too big is seen at the dot as well")
        t.equal(w.say("QUIT\r\n")[:3], "221", "QUIT")
        t.equal(ended(server), [], "no accusation")


def test_limits(t):
    with tempfile.TemporaryDirectory() as tmp:
        clock = Clock(os.path.join(tmp, "clock"))
        with Smtpd(greylist={"delay": 300}, clock=clock, max_connections=2, max_messages=2) as server:
            w = Wire(server)
            w.reply()
            w.say(*ENVELOPE[:2])
            t.equal(w.say(ENVELOPE[2])[:3], "450", "greylisted at first sight")
            clock.advance(299)
            t.equal(w.say(ENVELOPE[2])[:3], "450", "and a second before the delay is over")
            clock.advance(2)
            t.equal(w.say(ENVELOPE[2])[:3], "250", "then let in")
            t.equal(w.say("RCPT TO:<other@y.test>\r\n")[:3], "450", "another recipient is another triplet")
            t.ok(abs(server.record.events[-1]["t"] - clock.now()) < 5, "the record has the clock's time")
            w.say("RSET\r\n", ENVELOPE[1], "RSET\r\n")
            t.equal(w.say(ENVELOPE[1])[:3], "421", "421 at the third message of a connection")
            others = [Wire(server) for _ in range(3)]
            t.equal([o.reply()[:3] for o in others], ["220", "220", "421"], "421 beyond two connections at once")
            others[0].say("QUIT\r\n")
            others[1].close()
            again = [Wire(server) for _ in range(2)]
            t.equal([o.reply()[:3] for o in again], ["220", "220"], "who said QUIT or closed counts no longer")
            t.equal(server.record.most_at_once(), 3, "most at once")
    with serving(latency=0.4) as (server, w):
        start = time.monotonic()
        w.reply()
        w.say(ENVELOPE[0])
        w.send(*ENVELOPE[1:])
        [w.reply() for _ in range(3)]
        times = [e["m"] for e in server.record.find("reply")]
        t.ok(times[0] - start > 0.3 and times[1] - times[0] > 0.3 and times[2] - times[1] > 0.3 and times[-1] - times[2] < 0.4,
             "latency counts once a round trip, not once a command", times)


def test_program(t):
    with tempfile.TemporaryDirectory() as tmp:
        record, script, ports = (os.path.join(tmp, n) for n in ("record", "script", "ports"))
        with open(script, "w") as f:
            json.dump({"caps": [], "rules": [{"at": "mail", "reply": "451 4.3.0 no"}]}, f)
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "lib", "smtpd.py")
        p = subprocess.Popen([sys.executable, "-B", program, "--listen", "127.0.0.1:0", "--record", record, "--script", script, "--ports", ports],
                             stdout=subprocess.PIPE, text=True)
        try:
            word, address, port = p.stdout.readline().split()
            with open(ports) as f:
                t.equal(f.read(), f"listening {address} {port}\n", "says where it listens")
            with smtplib.SMTP(address, int(port), local_hostname="c.test", timeout=WAIT) as c:
                c.ehlo()
                t.equal(c.mail("a@b")[0], 451, "the script holds")
                with open(script, "w") as f:
                    f.write("{}")
                p.send_signal(signal.SIGHUP)
                end = time.monotonic() + WAIT
                while c.mail("a@b")[0] == 451 and time.monotonic() < end:
                    time.sleep(0.02)
                c.rcpt("c@d")
                t.equal(c.data(b"hello\r\n")[0], 250, "SIGHUP reads a new script")
            p.send_signal(signal.SIGTERM)
            t.equal(p.wait(WAIT), 0, "SIGTERM ends it")
            t.equal([m.data for m in Recording.load(record).messages()], [b"hello\r\n"], "the record is in the file")
        finally:
            p.kill()
            p.wait()
            p.stdout.close()


def test_kill(t):
    """What the record says after a kill -9 of the server: a message whose 250 was seen is in it."""
    with tempfile.TemporaryDirectory() as tmp:
        record = os.path.join(tmp, "record")
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "lib", "smtpd.py")
        p = subprocess.Popen([sys.executable, "-B", program, "--listen", "127.0.0.1:0", "--record", record], stdout=subprocess.PIPE, text=True)
        try:
            port = int(p.stdout.readline().split()[2])
            with smtplib.SMTP("127.0.0.1", port, local_hostname="c.test", timeout=WAIT) as c:
                for n in range(50):
                    c.sendmail("a@b", ["c@d"], f"number {n}")
                p.kill()
                p.wait()
                c.close()
        finally:
            p.kill()
            p.wait()
            p.stdout.close()
        t.equal([m.body or m.text for m in Recording.load(record).messages()], [b"number %d\n" % n for n in range(50)],
                "50 acknowledged, 50 in the record after kill -9")


def test(t):
    for name, body in list(globals().items()):
        if name.startswith("test_"):
            t.diag(name)
            body(t)


tap.main(test)
