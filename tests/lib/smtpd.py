"""An SMTP server that behaves as told, believes nothing, and writes everything down.

    with Smtpd(listen=[("198.18.0.10", 25)], rules=[
            {"at": "banner", "conn": "1-3", "reply": "421 4.7.0 too busy"},
            {"at": "rcpt", "rcpt": "dead@*", "reply": "550 5.1.1 no such user"},
            {"at": "dot", "times": 1, "accept": True, "do": "rst"}]) as server:
        ...
        server.record.wait_messages(1, 10)
    t.equal(server.record.violations(), [], "the client behaved")

or as a program, with the same options as JSON, and listen's port 0 for one of the kernel's choice:

    smtpd.py --listen 127.0.0.1:0 --record FILE [--script FILE.json] [--clock OFFSETFILE] [--ports FILE]
        prints `listening ADDRESS PORT` a line; SIGHUP reads the script anew, SIGTERM ends.

Options (Smtpd's arguments, the script's names):
    caps        ["PIPELINING", "SIZE 10485760", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING"]; [] is a bare ESMTP;
                None knows no EHLO at all (HELO only). What is not offered is refused and noted when used
    host        our name in banner and EHLO
    rules       see below; tried in order, the first that matches acts
    greylist    {"delay": 300, "by": "triplet" | "pair", "reply": "450 ..."}: RCPT is deferred until DELAY seconds of the
                clock after the first sight of (network, sender, recipient)
    max_connections, max_messages        421 at the banner beyond so many at once; 421 at MAIL after so many a connection
    latency     seconds between the arrival of what the client wrote and the first reply to it: a distant server
    take_empty  True: 354 to DATA even with no accepted recipient (RFC 2920 allows it)
    keep        False: only size and digest of bodies are recorded

A rule is a dict. When:
    at      banner ehlo helo mail rcpt data body dot bdat rset noop quit idle (idle: nobody asked)
    conn    number of the connection, from 1: 3, [1, 2], "2-5", "4-", "odd", "even"
    msg     number of the transaction in its connection (the same forms); in `idle`: transactions so far
    from, rcpt, helo    patterns (*, ?; case ignored). rcpt at data, dot: one of the accepted recipients
    ip      pattern for the address of ours that was called: several MX hosts in one server
    state   for idle: "start" (nothing sent yet), "between" (messages), "mail" (within a transaction)
    skip, times         not the first SKIP matches; only TIMES matches after that
    chance  0..1, from the generator that `seed` starts
Then:
    reply   "450 4.2.0 later", or a list of lines (or lines joined by \\n) for a long one. 421 closes unless do is "stay"
    raw     bytes (a string, latin-1) in place of a reply; "" says nothing
    do      after the reply: close (gracefully), rst, hang (silent for ever), stay
    accept  at dot: the message counts as taken although the reply says otherwise or never comes
    delay   seconds before it acts; in idle: of silence
    hold    at dot: seconds between the taking and the reply
    dribble seconds between the bytes of the reply
    bytes   at body: after so many bytes of it

Violations noted (name in `what`): talk before the banner, early command (before the reply, without PIPELINING), not last
in its group (EHLO DATA NOOP VRFY QUIT, RFC 2920), body without 354, body without recipient, bare LF, bare CR, NUL,
unstuffed dot, long line, long command, 8-bit data, parameter not offered, size understated, syntax, sequence, command after
421, command after refused greeting, command after QUIT. A point in time cannot be disproved: what arrived before a
reply left is early for certain; what the kernel had not yet brought is not seen. `latency` makes it certain.
"""
import argparse
import base64
import contextlib
import fnmatch
import hashlib
import json
import os
import random
import re
import select
import signal
import socket
import struct
import sys
import threading
import time

if __name__ == "__main__":
    sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
from lib.clock import read_offset
from lib.smtprecord import Recording

CAPS = ("PIPELINING", "SIZE 104857600", "8BITMIME", "ENHANCEDSTATUSCODES")
OPTIONS = {"caps": CAPS, "host": "mx.test", "rules": (), "greylist": None, "max_connections": None, "max_messages": None, "latency": 0.0,
           "take_empty": False, "keep": True}
POINTS = {"banner", "ehlo", "helo", "mail", "rcpt", "data", "body", "dot", "bdat", "rset", "noop", "vrfy", "quit", "idle"}
RULE_FIELDS = {"at", "conn", "msg", "from", "rcpt", "helo", "ip", "state", "skip", "times", "chance", "reply", "raw", "do",
               "accept", "delay", "hold", "dribble", "bytes"}
DEEDS = {None, "close", "rst", "hang", "stay"}
LAST_IN_GROUP = {"EHLO", "HELO", "DATA", "NOOP", "VRFY", "EXPN", "HELP", "QUIT", "STARTTLS", "AUTH"}
LINGER = 5.0            # seconds to read on after our last word, so that a reset does not eat it
GRACE = 0.3             # what arrives so soon after an unasked 421 may have crossed it
PATH_FORM = re.compile(r"<(?:@[^:>]*:)?([^>\s]*)>$")
COMMAND_MAX = 512 + 26 + 17 + 10        # RFC 5321 4.5.3.1.4 with what SIZE, 8BITMIME and SMTPUTF8 add
TCP_ESTABLISHED = 1


class Gone(Exception):
    """The connection is over; the argument says how."""


class Smtpd:
    def __init__(self, listen=(("127.0.0.1", 0),), record=None, clock=None, seed=1, **options):
        """RECORD: the file for the events, or None. CLOCK: a file with an offset or a Clock (lib/clock.py), or None for real time."""
        now = (lambda: time.time() + read_offset(clock)) if isinstance(clock, str) else clock.now if clock else time.time
        self.record = Recording(record, now)
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.sessions = {}
        self.serial = 0
        self.seen = {}                  # greylist: key -> first sight
        self.set(**{**OPTIONS, **options})
        self.sockets = [socket.create_server(tuple(a), family=socket.AF_INET6 if ":" in a[0] else socket.AF_INET, backlog=512)
                        for a in listen]
        self.addresses = [s.getsockname()[:2] for s in self.sockets]

    @property
    def port(self):
        return self.addresses[0][1]

    def set(self, **options):
        """Changes options while it runs; rules count from nothing again."""
        if set(options) - set(OPTIONS):
            raise ValueError(f"no options of this server: {set(options) - set(OPTIONS)}")
        if "rules" in options:
            options["rules"] = [check_rule(dict(r)) for r in options["rules"]]
        with self.lock:
            self.__dict__.update(options)

    def start(self):
        for s in self.sockets:
            self.record.add("listen", address=s.getsockname()[0], port=s.getsockname()[1])
            threading.Thread(target=self._accept, args=(s,), daemon=True).start()
        return self

    def _accept(self, listening):
        while not self.stopping.is_set():
            try:
                connection, peer = listening.accept()
            except OSError:
                return
            with self.lock:
                if self.stopping.is_set():
                    connection.close()
                    return
                self.serial += 1
                session = Session(self, self.serial, connection, peer)
                self.sessions[self.serial] = session
                session.at_once = sum(s.is_open() for s in self.sessions.values())
                session.start()

    def refuse_calls(self):
        """Stops listening (connections are refused from now on); sessions go on."""
        for s in self.sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def stop(self):
        with self.lock:
            self.stopping.set()
            sessions = list(self.sessions.values())
        self.refuse_calls()
        for s in sessions:
            s.cut()
        for s in sessions:
            s.join(10)
        self.record.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exception):
        self.stop()

    def rule_for(self, at, session, rcpts, state):
        with self.lock:
            for rule in self.rules:
                if rule["at"] != at or not rule_matches(rule, session, rcpts, state):
                    continue
                if rule.get("chance", 1) < 1 and self.random.random() >= rule["chance"]:
                    continue
                rule["hits"] = rule.get("hits", 0) + 1
                over = rule["hits"] - rule.get("skip", 0)
                if over > 0 and over <= rule.get("times", over):
                    return rule
        return None

    def greylisted(self, session, rcpt):
        """The refusal, or None when this one may pass."""
        grey = self.greylist
        if not grey:
            return None
        network = "" if grey.get("by") == "pair" else session.peer[0].rpartition(":" if ":" in session.peer[0] else ".")[0]
        now = self.record.clock()
        with self.lock:
            first = self.seen.setdefault((network, session.sender.lower(), rcpt.lower()), now)
        if first + grey["delay"] <= now:
            return None
        return grey.get("reply", "450 4.2.0 Greylisted, please try again later")


def check_rule(rule):
    unknown = set(rule) - RULE_FIELDS - {"hits"}
    if unknown or rule.get("at") not in POINTS or rule.get("do") not in DEEDS:
        raise ValueError(f"not a rule of this server: {rule}")
    rule.pop("hits", None)
    return rule


def number_matches(want, number):
    if want is None or want == number:
        return True
    if isinstance(want, str):
        if want in ("odd", "even"):
            return number % 2 == (want == "odd")
        low, _, high = want.partition("-")
        return int(low) <= number <= (int(high) if high else number)
    return isinstance(want, (list, tuple)) and number in want


def pattern_matches(pattern, values):
    return pattern is None or any(fnmatch.fnmatchcase(v.lower(), pattern.lower()) for v in values)


def rule_matches(rule, session, rcpts, state):
    return number_matches(rule.get("conn"), session.number) and number_matches(rule.get("msg"), session.transactions) \
        and pattern_matches(rule.get("from"), [session.sender] if session.sender is not None else []) \
        and pattern_matches(rule.get("rcpt"), rcpts) and pattern_matches(rule.get("helo"), [session.helo or ""]) \
        and pattern_matches(rule.get("ip"), [session.local[0]]) and rule.get("state", state) == state


def spoken(rule, default):
    """What will be said, as a string: the rule's reply or raw bytes, "" where it only acts, else DEFAULT."""
    if "raw" in rule:
        return rule["raw"]
    if "reply" not in rule and rule.get("do") in ("close", "rst", "hang"):
        return ""
    return "\n".join(reply_lines(rule.get("reply", default)))


def reply_lines(reply):
    return reply.split("\n") if isinstance(reply, str) else list(reply)


def reply_bytes(reply):
    lines = reply_lines(reply)
    return b"".join((line[:3] + ("-" if i + 1 < len(lines) else " ") + line[4:]).encode("latin-1", "replace") + b"\r\n"
                    for i, line in enumerate(lines))


class Session(threading.Thread):
    """One connection."""

    def __init__(self, server, number, connection, peer):
        super().__init__(daemon=True)
        self.server, self.number, self.socket, self.peer = server, number, connection, peer
        self.local = connection.getsockname()
        self.buffer = bytearray()
        self.arrived = time.monotonic()
        self.at_once = 0                # connections that were open when this one came, itself included
        self.left = False               # the last word is being said: it counts no longer
        self.helo = None
        self.extended = False           # greeted by EHLO
        self.transactions = 0           # MAIL commands that were accepted
        self.messages = 0
        self.dead = None                # why nothing but QUIT may come any more
        self.reset()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def reset(self):
        self.sender = None
        self.params = {}
        self.rcpts = []
        self.chunks = None              # BDAT so far
        self.asked_data = False         # DATA was refused: what comes next had better be a command

    @property
    def pipelining(self):
        return self.offers("PIPELINING")

    def offers(self, word):
        return self.extended and any(c.split()[0] == word for c in self.server.caps or ())

    def note(self, ev, **fields):
        return self.server.record.add(ev, c=self.number, **fields)

    def violation(self, what, detail=""):
        self.note("violation", what=what, detail=str(detail)[:200])

    def is_open(self):
        """As the client sees it: it has neither closed nor been told goodbye."""
        try:
            return not self.left and self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == TCP_ESTABLISHED
        except OSError:
            return False

    def cut(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    # ---- life

    def run(self):
        self.note("conn", ip=self.local[0], port=self.local[1], peer=self.peer[0], peer_port=self.peer[1],
                  at_once=self.at_once)
        how = "server"
        try:
            self.converse()
        except Gone as e:
            how = str(e)
        except (ConnectionResetError, BrokenPipeError):
            how = "reset"
        except OSError:
            how = "stop" if self.server.stopping.is_set() else "reset"
        finally:
            with self.server.lock:
                self.server.sessions.pop(self.number, None)
            self.note("end", how="stop" if self.server.stopping.is_set() and how != "quit" else how)
            self.socket.close()

    def converse(self):
        limit = self.server.max_connections
        full = limit is not None and self.at_once > limit
        code = self.answer("banner", "421 4.7.0 Too many connections, try again later" if full else f"220 {self.server.host} ESMTP")
        if code != 220:
            self.dead = "refused greeting"
        while True:
            self.unasked()
            self.obey(self.command())

    # ---- reading

    def fill(self, timeout=None):
        """Reads more; False when nothing came in TIMEOUT. The end of the stream is Gone."""
        if timeout is not None and not select.select([self.socket], [], [], max(0.0, timeout))[0]:
            return False
        data = self.socket.recv(1 << 18)
        if not data:
            raise Gone("client")
        self.arrived = time.monotonic()
        self.buffer += data
        return True

    def take(self, count):
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def pending(self):
        """True if the client has already sent more than we have answered."""
        if self.buffer:
            return True
        try:
            return bool(self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except OSError:
            return False

    def command(self):
        while b"\n" not in self.buffer:
            if len(self.buffer) > 1 << 20:
                self.violation("long command", "1 MB without an end")
                raise Gone("server")
            self.fill()
        line = self.take(self.buffer.index(b"\n") + 1)[:-1]
        if line.endswith(b"\r"):
            line = line[:-1]
        else:
            self.violation("bare LF", line)
        if b"\r" in line:
            self.violation("bare CR", line)
        if b"\0" in line:
            self.violation("NUL", line)
        if len(line) + 2 > COMMAND_MAX:
            self.violation("long command", len(line))
        line = line.decode("latin-1")
        self.note("cmd", line=line)
        return line

    def unasked(self):
        """Where a rule wants to speak before being spoken to."""
        state = "mail" if self.sender is not None else "between" if self.messages or self.transactions else "start"
        if self.helo is None or self.dead:
            return
        rule = self.server.rule_for("idle", self, self.rcpts, state)
        if rule is None:
            return
        delay = rule.get("delay", 0)
        if delay and (self.buffer or self.fill(delay)):
            rule["hits"] -= 1           # the client spoke first: another time
            return
        self.perform(rule, "idle", None)

    # ---- speaking

    def pause(self, seconds):
        if seconds > 0 and self.server.stopping.wait(seconds):
            raise Gone("stop")

    def say(self, text, at, raw=None, dribble=0):
        data = raw.encode("latin-1") if raw is not None else reply_bytes(text)
        self.pause(self.arrived + self.server.latency - time.monotonic())
        if at not in ("idle", "body"):
            self.check_order(at)
        for piece in ([data[i:i + 1] for i in range(len(data))] if dribble else [data]):
            self.socket.sendall(piece)
            self.pause(dribble)
        self.note("reply", text=data.decode("latin-1").rstrip("\r\n").replace("\r\n", "\n"), at=at)

    def answer(self, at, default, rcpts=None):
        """Says DEFAULT, or what a rule has in its place. Returns the code that was said (0: none)."""
        rule = self.server.rule_for(at, self, self.rcpts if rcpts is None else rcpts, None) or {}
        self.pause(rule.get("delay", 0))
        return self.perform(rule, at, default)

    def perform(self, rule, at, default):
        do, said = rule.get("do"), spoken(rule, default)
        code = int(said[:3]) if said[:3].isdigit() else 0
        do = do or ("close" if code == 421 else None)
        crossed = self.pending()
        self.left = do in ("close", "rst")
        if said:
            self.say(rule.get("reply", default), at, rule.get("raw"), rule.get("dribble", 0))
        if do == "rst":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise Gone("server")
        while do == "hang":             # deaf, but it notices when the other side goes
            self.buffer.clear()
            self.fill()
        if do == "close":
            self.linger(code == 421 and at != "body", crossed or self.pipelining or at == "idle")
        if code == 421:
            self.dead = "421"
        return code

    def check_order(self, at):
        """What must not be there yet, seen at the last moment before a reply leaves."""
        if not self.pending():
            return
        ahead = bytes(self.buffer[:60]) or self.socket.recv(60, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        if at == "banner":
            self.violation("talk before the banner", ahead)
        elif not self.pipelining:
            self.violation("early command", f"behind {at}: {ahead}")
        elif at in ("ehlo", "helo", "data", "noop", "vrfy", "quit"):
            self.violation("not last in its group", f"behind {at}: {ahead}")

    def linger(self, final, crossed):
        """Ends the connection so that the client gets to read our last words. FINAL: it has no right to a command after
        them; CROSSED: but some may have been under way."""
        self.socket.shutdown(socket.SHUT_WR)
        end = time.monotonic() + LINGER
        excused = time.monotonic() + (GRACE if crossed else 0)
        try:
            while time.monotonic() < end and not self.server.stopping.is_set():
                came = self.buffer or self.fill(end - time.monotonic())
                if came and final and time.monotonic() > excused:
                    for line in bytes(self.buffer).split(b"\n"):
                        if line.strip() and line.strip().upper() != b"QUIT":
                            self.violation("command after 421", line[:80])
                self.buffer.clear()
        except (Gone, OSError):
            pass
        raise Gone("server")

    # ---- commands

    def obey(self, line):
        verb, _, rest = line.partition(" ")
        verb = verb.upper()
        if verb == "QUIT":
            self.left = True
            self.answer("quit", f"221 2.0.0 {self.server.host} closing")
            if self.pending():
                self.violation("command after QUIT", bytes(self.buffer[:60]))
            raise Gone("quit")
        if self.dead:
            self.violation(f"command after {self.dead}", line)
            self.say("421 4.3.2 go away" if self.dead == "421" else "503 5.5.1 only QUIT is left to say", "dead")
            return
        handler = getattr(self, "on_" + verb.lower(), None) if verb.isalpha() else None
        if handler is None:
            self.violation("body without 354" if self.asked_data else "syntax", line)
            self.say("500 5.5.2 unknown command", "syntax")
            return
        self.asked_data = False
        handler(rest)

    def wrong(self, what, detail, reply):
        self.violation(what, detail)
        self.say(reply, what)

    def on_ehlo(self, rest):
        if not rest.strip():
            return self.wrong("syntax", "EHLO without a name", "501 5.5.4 your name?")
        if self.server.caps is None:
            self.answer("ehlo", "502 5.5.1 EHLO is not known here")
            return None
        self.greet("ehlo", rest, [f"250 {self.server.host}", *(f"250 {c}" for c in self.server.caps)])
        return None

    def on_helo(self, rest):
        if not rest.strip():
            return self.wrong("syntax", "HELO without a name", "501 5.5.4 your name?")
        self.greet("helo", rest, f"250 {self.server.host}")
        return None

    def greet(self, at, name, default):
        before, self.helo, self.extended = (self.helo, self.extended), name.strip(), at == "ehlo"
        extended, self.extended = self.extended, before[1]          # what is pipelined behind it counts by the old rules
        code = self.answer(at, default)
        if code == 250:
            self.extended = extended
            self.reset()
        else:
            self.helo, self.extended = before

    def on_mail(self, rest):
        if self.helo is None:
            return self.wrong("sequence", "MAIL before EHLO", "503 5.5.1 EHLO first")
        if self.sender is not None:
            return self.wrong("sequence", "MAIL within a transaction", "503 5.5.1 a transaction is open")
        path, params = self.path(rest, "FROM:")
        if path is None:
            return self.wrong("syntax", f"MAIL {rest}", "501 5.5.4 syntax")
        limit = self.server.max_messages
        default = f"250 2.1.0 <{path}> ok"
        if limit is not None and self.transactions >= limit:
            default = "421 4.7.0 Too many messages in this connection"
        elif self.too_big(params.get("SIZE", "0")):
            default = "552 5.3.4 too big"
        self.check_params(params)
        self.sender, self.params = path, params
        self.transactions += 1
        if self.answer("mail", default) // 100 != 2:
            self.transactions -= 1
            self.reset()
        return None

    def on_rcpt(self, rest):
        path, params = self.path(rest, "TO:")
        if path is None or not path:
            return self.wrong("syntax", f"RCPT {rest}", "501 5.5.4 syntax")
        if self.sender is None:
            if not self.pipelining:
                self.violation("sequence", "RCPT without MAIL")
            self.say("503 5.5.1 MAIL first", "rcpt")
            return None
        # a rule goes before the greylist
        rule = self.server.rule_for("rcpt", self, [path], None)
        default = f"250 2.1.5 <{path}> ok" if rule else self.server.greylisted(self, path) or f"250 2.1.5 <{path}> ok"
        self.pause((rule or {}).get("delay", 0))
        if self.perform(rule or {}, "rcpt", default) // 100 == 2:
            self.rcpts.append(path)
        return None

    def on_data(self, rest):
        if rest.strip():
            return self.wrong("syntax", f"DATA {rest}", "501 5.5.4 DATA alone")
        if self.chunks is not None:
            return self.wrong("sequence", "DATA after BDAT", "503 5.5.1 BDAT it is")
        default = "354 go ahead"
        if self.sender is None or not (self.rcpts or self.server.take_empty):
            if not self.pipelining:
                self.violation("sequence", "DATA without a recipient")
            default = "503 5.5.1 no valid recipients"
        if self.answer("data", default) == 354:
            self.take_body()
        else:
            self.asked_data = True
        return None

    def on_bdat(self, rest):
        words = rest.upper().split()
        if not words or not words[0].isdigit() or words[1:] not in ([], ["LAST"]):
            return self.wrong("syntax", f"BDAT {rest}", "501 5.5.4 syntax")
        if not self.offers("CHUNKING"):
            return self.wrong("parameter not offered", "BDAT", "500 5.5.1 unknown command")
        with self.in_body():
            while len(self.buffer) < int(words[0]):
                self.fill()
        chunk = self.take(int(words[0]))
        if not self.rcpts:
            self.say("503 5.5.1 no valid recipients", "bdat")
            return None
        self.chunks = (self.chunks or b"") + chunk
        if len(words) == 2:
            self.finish(b"\r\n" + self.chunks, stuffed=False)
        elif self.answer("bdat", f"250 2.0.0 {len(chunk)} bytes") // 100 != 2:
            self.reset()
        return None

    def on_rset(self, rest):
        self.reset()
        self.answer("rset", "250 2.0.0 ok")

    def on_noop(self, rest):
        self.answer("noop", "250 2.0.0 ok")

    def on_vrfy(self, rest):
        self.answer("vrfy", "252 2.1.5 try and see")

    def path(self, rest, word):
        """("a@b", {"SIZE": "12"}) of `FROM:<a@b> SIZE=12`; (None, {}) when it is not that."""
        if rest[:len(word)].upper() != word:
            return None, {}
        words = rest[len(word):].split(" ")
        found = PATH_FORM.match(words[0])
        if not found or "" in words:
            return None, {}
        return found.group(1), {k.upper(): v for k, _, v in (w.partition("=") for w in words[1:])}

    def check_params(self, params):
        for name, value in params.items():
            cap = {"SIZE": "SIZE", "BODY": "8BITMIME", "SMTPUTF8": "SMTPUTF8", "RET": "DSN", "ENVID": "DSN", "AUTH": "AUTH"}.get(name)
            if cap is None or not self.offers(cap):
                self.violation("parameter not offered", f"{name}={value}")

    def too_big(self, size):
        limits = [c.split()[1] for c in self.server.caps or () if c.startswith("SIZE ")]
        return bool(limits) and size.isdigit() and int(size) > int(limits[0]) > 0

    # ---- the message

    @contextlib.contextmanager
    def in_body(self):
        """A connection that ends in here leaves half a message."""
        try:
            yield
        except (Gone, OSError):
            self.note("partial", **self.envelope(), size=len(self.buffer) + len(self.chunks or b""))
            raise

    def envelope(self):
        return {"n": self.transactions, "from": self.sender, "rcpts": self.rcpts, "params": self.params, "helo": self.helo, "ip": self.local[0]}

    def take_body(self):
        """Reads up to the lone dot. Line ends are CRLF and nothing else."""
        self.buffer[:0] = b"\r\n"
        rule = self.server.rule_for("body", self, self.rcpts, None)
        searched, end = 0, -1
        with self.in_body():
            while end < 0:
                if rule and len(self.buffer) - 2 >= rule.get("bytes", 0):
                    self.pause(rule.get("delay", 0))
                    self.perform(rule, "body", "421 4.3.0 enough")
                    rule = None
                end = self.buffer.find(b"\r\n.\r\n", searched)
                searched = max(0, len(self.buffer) - 4)
                if end < 0:
                    self.fill()
        body = self.take(end + 5)[:-3]
        self.finish(body, stuffed=True)

    def finish(self, body, stuffed):
        """BODY begins with a CRLF that is not part of it."""
        if stuffed:
            bad = re.search(rb"\r\n\.(?!\.)", body)
            if bad:
                self.violation("unstuffed dot", body[bad.start() + 2:bad.start() + 60])
            body = body.replace(b"\r\n.", b"\r\n")
        body = body[2:]
        self.inspect(body)
        rule = self.server.rule_for("dot", self, self.rcpts, None) or {}
        default = f"250 2.0.0 ok {self.number}.{self.transactions}"
        if not self.rcpts:
            default = "554 5.5.1 no valid recipients"
            if body:
                self.violation("body without recipient", f"{len(body)} bytes")
        elif self.too_big(str(len(body))):
            default = "552 5.3.4 too big"
        self.pause(rule.get("delay", 0))
        said = spoken(rule, default)
        facts = {**self.envelope(), "size": len(body), "sha": hashlib.sha256(body).hexdigest(), "reply": said}
        if self.rcpts and (said.startswith("2") or rule.get("accept")):
            if self.server.keep:
                facts["b64"] = base64.b64encode(body).decode()
            self.messages += 1
            self.note("msg", **facts)
            self.pause(rule.get("hold", 0))
        else:
            self.note("refused", **facts)
        self.reset()
        self.perform(rule, "dot", default)

    def inspect(self, body):
        for what, pattern in (("bare LF", rb"(?<!\r)\n"), ("bare CR", rb"\r(?!\n)"), ("NUL", rb"\0")):
            found = re.search(pattern, body)
            if found:
                self.violation(what, f"in the body at byte {found.start()}: {body[max(0, found.start() - 20):found.start() + 20]}")
        longest = max(map(len, body.split(b"\r\n")))
        if longest > 998:
            self.violation("long line", f"{longest} bytes")
        eight = re.search(rb"[\x80-\xff]", body)
        if eight and self.params.get("BODY", "").upper() != "8BITMIME":
            self.violation("8-bit data", f"without BODY=8BITMIME, at byte {eight.start()}")
        declared = self.params.get("SIZE")
        if declared and declared.isdigit() and int(declared) < len(body):
            self.violation("size understated", f"declared {declared}, sent {len(body)}")


# ---- as a program

def main():
    arguments = argparse.ArgumentParser(description="A scripted SMTP server for tests.")
    arguments.add_argument("--listen", action="append", required=True, metavar="ADDRESS:PORT")
    arguments.add_argument("--record", required=True, metavar="FILE")
    arguments.add_argument("--script", metavar="FILE", help="JSON object with the options of Smtpd")
    arguments.add_argument("--clock", metavar="FILE", help="a libfaketime timestamp file: +SECONDS")
    arguments.add_argument("--ports", metavar="FILE", help="where to write what it listens on, when it does")
    a = arguments.parse_args()

    def script():
        if not a.script:
            return {}
        with open(a.script) as f:
            return json.load(f)

    signals = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)       # before there are threads
    listen = [(address.strip("[]"), int(port)) for address, _, port in (x.rpartition(":") for x in a.listen)]
    server = Smtpd(listen, a.record, a.clock, **script()).start()
    lines = "".join(f"listening {address} {port}\n" for address, port in server.addresses)
    if a.ports:
        with open(a.ports + ".new", "w") as f:
            f.write(lines)
        os.rename(a.ports + ".new", a.ports)
    print(lines, end="", flush=True)
    while signal.sigwait(signals) == signal.SIGHUP:
        server.set(**{**OPTIONS, **{k: v for k, v in script().items() if k != "seed"}})
    server.stop()


if __name__ == "__main__":
    main()
