"""What an SMTP server saw: one JSON object a line, and the questions tests ask of it.

Every event has `ev`, `t` (virtual time, see lib/clock.py), `m` (monotonic seconds) and, of a connection, `c` (its
number, from 1). The kinds:

    listen     address port
    conn       ip port (ours), peer peer_port (theirs), at_once (connections open then, this one included)
    cmd        line
    reply      text, at (the point of the conversation)
    msg        n from rcpts params helo ip size sha b64 reply: a message taken. Written before its 250 goes out, so after
               a kill of either side it says what the server took responsibility for
    refused    the same without b64: the dot (or last chunk) was answered with anything but 2xx, or not at all
    partial    n from rcpts params helo ip size: the connection ended within the body
    violation  what detail: the client did what it may not do
    end        how: quit, client, reset, server, stop
"""
import base64
import collections
import json
import os
import threading
import time


class Message:
    """A message the server took."""

    def __init__(self, event):
        self.connection = event["c"]
        self.number = event["n"]              # in its connection, from 1
        self.t = event["t"]
        self.sender = event["from"]
        self.recipients = event["rcpts"]
        self.params = event["params"]         # of MAIL: {"SIZE": "123", "BODY": "8BITMIME"}
        self.helo = event["helo"]
        self.ip = event["ip"]                 # the address of ours that it came to
        self.size = event["size"]
        self.sha = event["sha"]
        self.data = base64.b64decode(event["b64"]) if "b64" in event else None     # as sent: CRLF, dots unstuffed

    @property
    def text(self):
        """With LF line ends."""
        return self.data.replace(b"\r\n", b"\n")

    def header(self, name):
        """The value of the first such header field, unfolded; None without one."""
        head = b"\n" + self.text.partition(b"\n\n")[0].replace(b"\n ", b" ").replace(b"\n\t", b" ")
        for line in head.split(b"\n"):
            if line.lower().startswith(name.lower().encode() + b":"):
                return line.partition(b":")[2].strip().decode("latin-1")
        return None

    @property
    def body(self):
        return self.text.partition(b"\n\n")[2]


class Recording:
    """Events, in the order in which they happened; thread-safe, and waitable."""

    def __init__(self, path=None, clock=time.time):
        self.events = []
        self.clock = clock
        self.changed = threading.Condition()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) if path else None

    @classmethod
    def load(cls, path):
        """Reads a record back, of a server that still runs too; a torn last line is ignored."""
        it = cls()
        with open(path, "rb") as f:
            it.events = [json.loads(line) for line in f if line.endswith(b"\n")]
        return it

    def add(self, ev, **fields):
        event = {"ev": ev, "t": round(self.clock(), 6), "m": round(time.monotonic(), 6), **fields}
        with self.changed:
            if self._file is not None:
                line = memoryview(json.dumps(event).encode() + b"\n")
                while line:
                    line = line[os.write(self._file, line):]
            self.events.append(event)
            self.changed.notify_all()
        return event

    def close(self):
        if self._file is not None:
            os.close(self._file)
            self._file = None

    # ---- questions

    def find(self, ev, **fields):
        """All events of a kind whose FIELDS have these values."""
        with self.changed:
            return [e for e in self.events if e["ev"] == ev and all(e.get(k) == v for k, v in fields.items())]

    def messages(self):
        return [Message(e) for e in self.find("msg")]

    def commands(self, connection=None):
        """The lines, in order: ["EHLO x", "MAIL FROM:<a@b>", ...]."""
        return [e["line"] for e in self.find("cmd") if connection is None or e["c"] == connection]

    def replies(self, at=None):
        return [e["text"] for e in self.find("reply") if at is None or e["at"] == at]

    def connections(self):
        """[{"c": 1, "t": ..., "ip": ..., "end": "quit" or None while open, "until": t}]."""
        ends = {e["c"]: e for e in self.find("end")}
        return [{**e, "end": ends.get(e["c"], {}).get("how"), "until": ends.get(e["c"], {}).get("t")} for e in self.find("conn")]

    def most_at_once(self):
        """The largest number of connections that were open at the same time, as the client sees it."""
        return max((e["at_once"] for e in self.find("conn")), default=0)

    def violations(self, ignore=()):
        """["connection 3: bare LF in the body: ..."]; assert that it is []."""
        return [f"connection {e['c']}: {e['what']}: {e['detail']}" for e in self.find("violation") if e["what"] not in ignore]

    def copies(self, key=lambda message: message.header("Message-ID")):
        """How often each recipient was given each message: Counter of (recipient, KEY(message))."""
        return collections.Counter((r, key(m)) for m in self.messages() for r in m.recipients)

    def wait(self, condition, seconds, what="the server's record"):
        """Until CONDITION(self) is true; returns its value. TimeoutError when it is not in that time."""
        end = time.monotonic() + seconds
        while True:
            with self.changed:
                seen = len(self.events)
            value = condition(self)
            if value:
                return value
            with self.changed:
                if len(self.events) == seen and not self.changed.wait(min(1.0, max(0.0, end - time.monotonic()))) \
                        and time.monotonic() >= end:
                    raise TimeoutError(f"{what}: not within {seconds} s; last events: {[slim(e) for e in self.events[-8:]]}")

    def wait_messages(self, count, seconds):
        return self.wait(lambda r: len(r.find("msg")) >= count and r.messages(), seconds, f"{count} messages")


def slim(event):
    return {k: v for k, v in event.items() if k not in ("b64", "sha", "m")}
