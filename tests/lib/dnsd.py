"""A DNS server that answers as told, also in ways no server should, and remembers what it was asked.

    with Dnsd(zone={
            "a.test": {"MX": [(10, "mx1.a.test"), (20, "mx2.a.test")], "ttl": 120},
            "mx1.a.test": {"A": ["198.18.0.1"], "AAAA": ["2001:db8:1::1"]},
            "alias.test": {"CNAME": "a.test"},
            "sick.test": {"do": "SERVFAIL"}}) as server:
        ... server.address ...          # "127.0.0.1:40001", as `resolver` takes it; UDP and TCP
        server.asked("a.test", "MX")    # how often

A name is a dict of records by type (A, AAAA, MX, CNAME), and of
    ttl     of its records (300)
    do      NOERROR SERVFAIL REFUSED NXDOMAIN FORMERR NOTIMP: that answer, without records
            silent: none at all; truncate: TC without records over UDP, the truth over TCP
            wrong-id, wrong-question: an answer to something else, three times, and nothing else
            garbage: random bytes behind a fitting header; lying-rdlength; pointer-loop
            silent-a, silent-aaaa, servfail-aaaa, ...: the same for one type only
    times   DO holds for so many questions, then the truth is told
    delay   seconds before the answer
A name nobody mentioned is NXDOMAIN, unless a longer one ends in it. CNAMEs are followed, also in circles. The name of a
mail host may be bytes: labels in wire form, put in as they are.
"""
import random
import socket
import struct
import threading
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MX": 15, "AAAA": 28, "OPT": 41}
NAMES = {number: name for name, number in TYPES.items()}
RCODES = {"NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5}
CHAIN_MAX = 20


def encode(name):
    if isinstance(name, bytes):
        return name
    labels = [label for label in name.split(".") if label]
    return b"".join(struct.pack("B", len(label)) + label.encode("latin-1") for label in labels) + b"\0"


def record(name, kind, ttl, rdata, claimed=None):
    length = len(rdata) if claimed is None else claimed
    return encode(name) + struct.pack("!HHIH", TYPES[kind], 1, ttl & 0xffffffff, length) + rdata


def rdata_of(kind, value):
    if kind == "A":
        return socket.inet_pton(socket.AF_INET, value)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, value)
    if kind == "MX":
        return struct.pack("!H", value[0]) + encode(value[1])
    return encode(value)


class Question:
    def __init__(self, message):
        self.id, flags, count = struct.unpack("!HHH", message[:6])
        if count != 1 or flags & 0x8000:
            raise ValueError("not a question")
        labels, at = [], 12
        while message[at]:
            labels.append(message[at + 1:at + 1 + message[at]].decode("latin-1"))
            at += message[at] + 1
        self.name = ".".join(labels).lower()
        self.section = message[12:at + 5]
        self.type = NAMES.get(struct.unpack("!H", message[at + 1:at + 3])[0], "?")
        self.room = 512
        if struct.unpack("!H", message[10:12])[0]:              # EDNS: the class of OPT is the size
            self.room = max(512, struct.unpack("!H", message[at + 8:at + 10])[0])


class Dnsd:
    def __init__(self, zone, listen="127.0.0.1", port=0, tcp=True):
        self.zone = {name.lower(): dict(entry) for name, entry in zone.items()}
        self.questions = []
        self.lock = threading.Lock()
        self.stopping = False
        family = socket.AF_INET6 if ":" in listen else socket.AF_INET
        for _ in range(20):
            self.udp = socket.socket(family, socket.SOCK_DGRAM)
            self.udp.bind((listen, port))
            self.tcp = None
            try:
                if tcp:
                    self.tcp = socket.create_server(self.udp.getsockname()[:2], family=family)
                break
            except OSError:
                self.udp.close()
        self.address = ("[{}]:{}" if ":" in listen else "{}:{}").format(*self.udp.getsockname()[:2])

    def __enter__(self):
        threading.Thread(target=self._serve_udp, daemon=True).start()
        if self.tcp:
            threading.Thread(target=self._serve_tcp, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.stopping = True
        for s in (self.udp, self.tcp):
            if s:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                s.close()

    def set(self, name, **entry):
        """Says something else about NAME from now on."""
        with self.lock:
            self.zone[name.lower()] = entry

    def asked(self, name, kind=None, over=None):
        with self.lock:
            return sum(1 for n, k, o in self.questions if n == name.lower() and kind in (None, k) and over in (None, o))

    def _serve_udp(self):
        while not self.stopping:
            try:
                message, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            threading.Thread(target=self._answer_udp, args=(message, peer), daemon=True).start()

    def _answer_udp(self, message, peer):
        for reply in self.replies(message, "udp"):
            try:
                self.udp.sendto(reply, peer)
            except OSError:
                pass

    def _serve_tcp(self):
        while not self.stopping:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._answer_tcp, args=(connection,), daemon=True).start()

    def _answer_tcp(self, connection):
        with connection:
            connection.settimeout(10)
            try:
                while True:
                    head = connection.recv(2, socket.MSG_WAITALL)
                    if len(head) < 2:
                        return
                    message = connection.recv(struct.unpack("!H", head)[0], socket.MSG_WAITALL)
                    for reply in self.replies(message, "tcp"):
                        connection.sendall(struct.pack("!H", len(reply)) + reply)
            except OSError:
                return

    def replies(self, message, over):
        try:
            q = Question(message)
        except (ValueError, IndexError, struct.error):
            return []
        with self.lock:
            self.questions.append((q.name, q.type, over))
            entry = self.zone.get(q.name, {})
            do = self._deed(entry, q.type)
        if entry.get("delay"):
            time.sleep(entry["delay"])
        if do == "silent":
            return []
        if do in ("wrong-id", "wrong-question"):
            return [self._elsewhere(q, do)] * 3
        if do in RCODES:
            return [self._message(q, rcode=RCODES[do])]
        if do == "garbage":
            return [self._message(q, answers=[random.Random(1).randbytes(60)] * 3)]
        if do == "lying-rdlength":
            return [self._message(q, answers=[record(q.name, q.type, 300, b"\0\1", claimed=4000)])]
        if do == "pointer-loop":
            at = 12 + len(q.section) + 14
            return [self._message(q, answers=[record(b"\xc0\x0c", "MX", 300, b"\0\1" + struct.pack("!H", 0xc000 | at))])]
        reply = self._truth(q)
        if over == "udp" and (do == "truncate" or len(reply) > q.room):
            return [self._message(q, truncated=True)]
        return [reply]

    @staticmethod
    def _deed(entry, kind):
        """What is to be done instead of telling the truth, once more or never again."""
        do = entry.get("do")
        if do is None or entry.get("times", 1) <= 0:
            return None
        head, _, tail = do.rpartition("-")
        if tail.upper() in TYPES:
            if tail.upper() != kind:
                return None
            do = head.upper() if head.upper() in RCODES else head
        if "times" in entry:
            entry["times"] -= 1
        return do

    @staticmethod
    def _message(q, rcode=0, answers=(), authority=(), truncated=False, section=None):
        flags = 0x8180 | rcode | (0x0200 if truncated else 0)
        return struct.pack("!HHHHHH", q.id, flags, 1, len(answers), len(authority), 0) + (section or q.section) + b"".join(answers) + b"".join(authority)

    def _elsewhere(self, q, do):
        answers = [record(q.name, "A", 300, b"\x7f\0\0\1")]
        if do == "wrong-question":
            return self._message(q, answers=answers, section=encode("elsewhere.test") + q.section[-4:])
        other = Question.__new__(Question)
        other.__dict__ = {**q.__dict__, "id": q.id ^ 1}
        return self._message(other, answers=answers)

    def _truth(self, q):
        name, answers = q.name, []
        with self.lock:
            zone = dict(self.zone)
        while len(answers) < CHAIN_MAX and "CNAME" in zone.get(name, {}) and q.type != "CNAME":
            entry = zone[name]
            answers.append(record(name, "CNAME", entry.get("ttl", 300), encode(entry["CNAME"])))
            name = entry["CNAME"].lower()
        entry = zone.get(name)
        for value in (entry or {}).get(q.type, ()):
            answers.append(record(name, q.type, entry.get("ttl", 300), rdata_of(q.type, value)))
        missing = entry is None and name != "" and not any(known.endswith("." + name) for known in zone)
        soa = record("test", "SOA", 90, encode("ns.test") + encode("root.test") + struct.pack("!5I", 1, 3600, 600, 86400, 90))
        return self._message(q, rcode=RCODES["NXDOMAIN"] if missing else 0, answers=answers, authority=[soa] if not answers else [])
