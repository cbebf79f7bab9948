"""A spool as files: what waits where, and what the files say. Reads only, but for wake()."""
import collections
import errno
import fcntl
import os
import re
import struct
import termios

ID = r"[0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}"
ID_FORM = re.compile(ID + r"\Z")
NAME_FORM = re.compile(rf"(\d{{10}})\.({ID})\.([a-z])([0-9A-Za-z]{{3}})\Z")

Waiting = collections.namedtuple("Waiting", "domain due id letter sender_hash path")


class Event(dict):
    """A line of a trail: {"t": ms, "what": "deferred", "n": 1, "cause": "greylisted", "due": 1234567890, ..., "text": reply}.
    n is the recipient, counted from 1; count is the trail's n=."""

    def __init__(self, line):
        words = line.split(" ")
        super().__init__(t=int(words[0]), what=words[1])
        rest = words[2:]
        if self["what"] in ("delivered", "failed", "deferred", "said"):
            self["n"] = int(rest.pop(0))
        if self["what"] == "delivered":
            self["host"] = rest.pop(0)
        if self["what"] in ("failed", "deferred"):
            self["cause"] = rest.pop(0)
        while self["what"] == "deferred" and rest and re.match(r"(due|n|first|last|grey|host)=", rest[0]):
            name, _, value = rest.pop(0).partition("=")
            self["count" if name == "n" else name] = int(value) if value.isdigit() else value
        self["text"] = " ".join(rest)


class Stored:
    """A message file: .sender, .recipients, .lines (its envelope's, by first word), .data (the message, LF)."""

    def __init__(self, path):
        with open(path, "rb") as f:
            head, _, self.data = f.read().partition(b"\n\n")
        self.lines = collections.defaultdict(list)
        for line in head.decode().splitlines():
            word, _, rest = line.partition(" ")
            self.lines[word].append(rest)
        self.sender = self.lines["from"][0][1:-1]
        self.recipients = [r[1:-1] for r in self.lines["to"]]


class Spool:
    def __init__(self, path):
        self.path = path

    def _names(self, *below):
        try:
            return sorted(os.listdir(os.path.join(self.path, *below)))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _waiting(self, where):
        found = []
        for domain in self._names(where):
            for name in self._names(where, domain):
                m = NAME_FORM.match(name)
                if m is None:
                    raise ValueError(f"{where}/{domain}/{name} is no name of a queue")
                found.append(Waiting(domain, int(m[1]), m[2], m[3], m[4], os.path.join(self.path, where, domain, name)))
        return found

    def cur(self):
        """[Waiting], by domain and due time."""
        return self._waiting("cur")

    def hold(self):
        return self._waiting("hold")

    def new(self):
        """IDs that nobody has looked at yet."""
        return [n for n in self._names("new") if ID_FORM.match(n)]

    def dead(self):
        return self._names("dead")

    def tmp(self):
        return self._names("tmp")

    def ids(self):
        """The IDs of all messages that are still owed to somebody."""
        return set(self.new()) | {w.id for w in self.cur() + self.hold()}

    def empty(self):
        return not self.ids()

    def next_due(self):
        """Seconds of the earliest DUE in cur/, or None."""
        return min((w.due for w in self.cur()), default=None)

    def message(self, id):
        """Stored, wherever it lies. FileNotFoundError when it is gone."""
        filed = [w.path for w in self.cur() + self.hold() if w.id == id]
        for path in [os.path.join(self.path, "new", id), os.path.join(self.path, "dead", id), *filed]:
            if os.path.exists(path):
                return Stored(path)
        raise FileNotFoundError(errno.ENOENT, "no such message", id)

    def trail(self, id):
        """[Event] of a message, in order; a torn last line is left out."""
        events = []
        for name in self._names("trail"):
            if name.partition(".")[0] == id:
                with open(os.path.join(self.path, "trail", name), encoding="utf-8", errors="replace") as f:
                    events += [Event(line.rstrip("\n")) for line in f if line.endswith("\n")]
        return events

    def listens(self):
        """True if a spooler reads `wake`."""
        return self.wake("")

    def wake(self, line="n\n"):
        """Writes into `wake`; False when nobody is there."""
        try:
            fd = os.open(os.path.join(self.path, "wake"), os.O_WRONLY | os.O_NONBLOCK)
        except OSError as e:
            if e.errno in (errno.ENXIO, errno.ENOENT):
                return False
            raise
        try:
            if line:
                os.write(fd, line.encode())
        except BrokenPipeError:         # it left just now
            return False
        finally:
            os.close(fd)
        return True

    def heard(self):
        """True when a spooler has read all that was written into `wake`."""
        try:
            fd = os.open(os.path.join(self.path, "wake"), os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            return struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))[0] == 0
        finally:
            os.close(fd)

    def holder(self):
        """The last words in `lock`, as ("1234", "daemon"); whoever wrote them may be gone."""
        try:
            with open(os.path.join(self.path, "lock")) as f:
                words = f.readline().split()
            return (words[1], words[2]) if len(words) >= 3 else None
        except FileNotFoundError:
            return None
