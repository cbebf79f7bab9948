"""BIND as the only DNS server of the world: it is the root, so whatever it is not told of is NXDOMAIN.

    dns = named.start(listen=[("198.18.0.53", 53)], zones={
        "two.test": '''
            @    MX 10 mx1
            @    MX 20 mx2
            mx1  A 198.18.0.10
            mx2  AAAA 2001:db8:1::10''',
        "null.test": "@ MX 0 .",
        "alias.test": "@ A 198.18.0.11\\n www CNAME two.test."},
        servfail=["broken.test"],       # a zone that fails to load: SERVFAIL
        silent=["slow.test"])           # every query for it or below is dropped: a time-out
    dns.change(servfail=[])             # another world, within a moment; what is not named stays
    dns.queries()                       # [("two.test", "MX"), ...] so far

A zone is the lines of its file, without SOA and NS; its TTL is 60 unless they say $TTL.
"""
import os
import re
import secrets
import signal
import socket
import struct
import time

from lib import netns
from peers.root import Peer, building

OPTIONS = """
options {{
    directory "/var/cache/bind";
    pid-file none; session-keyfile none; empty-zones-enable no; dnssec-validation no; querylog yes;
    recursion yes; allow-query {{ any; }}; allow-recursion {{ any; }}; allow-query-cache {{ any; }};
    {listen}
    response-policy {{ zone "silent.rpz"; }} qname-wait-recurse no min-update-interval 0;
}};
controls {{ }};
logging {{ category queries {{ default_stderr; }}; }};
"""
HEAD = "$TTL 60\n@ SOA ns.invalid. hostmaster.invalid. {serial} 60 60 600 60\n@ NS ns.invalid.\n"
TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED"}


def start(listen, zones=None, servfail=(), silent=()):
    with building("named") as root:
        for address, _ in listen:
            netns.add_address(address)          # it listens on what interfaces list
        root.directory("var/cache/bind")
        dns = Named(root, listen)
        dns.world = {"zones": zones or {}, "servfail": servfail, "silent": silent}
        dns.write()
        dns.process = root.spawn("/usr/sbin/named", "-g", "-n", "1", "-c", "/etc/named.conf")
        dns.loaded(0)
        return dns


class Named(Peer):
    serial = 0

    def write(self):
        self.serial += 1
        head = HEAD.format(serial=self.serial)
        configuration = [OPTIONS.format(listen="".join(
            f"listen-on{'-v6' if ':' in a else ''} port {p} {{ {a}; }}; " for a, p in self.listen))]
        drop = "".join(f"{pre}{name} CNAME rpz-drop.\n" for name in self.world["silent"] for pre in ("", "*."))
        files = {".": "ns.invalid. A 192.0.2.53", "silent.rpz": drop, **self.world["zones"]}
        for name, text in files.items():
            self.root.write(f"var/cache/bind/zone-{name}", head + re.sub(r"(?m)^[ \t]+", "", text) + "\n")
        for name in [*files, *self.world["servfail"]]:
            configuration.append(f'zone "{name}" {{ type primary; file "{"zone-" + name if name in files else "missing"}"; }};\n')
        self.root.write("etc/named.conf", "".join(configuration))

    def loaded(self, before):
        """Waits until the zones were read more often than BEFORE, and it answers by them."""
        self.root.wait(lambda: self.loads() > before, "named")
        self.root.wait(lambda: all(answers(a, self.serial) for a in self.listen), "named's answers")

    def loads(self):
        log = self.log()
        return min(log.count("all zones loaded"), log.count("silent.rpz: reload done"))

    def change(self, **world):
        before = self.loads()
        self.world.update(world)
        self.write()
        os.kill(self.process.pid, signal.SIGHUP)
        self.loaded(before)

    def queries(self):
        """[(name, type)] of all queries so far but our own."""
        return [q for q in re.findall(r"query: (\S+) IN (\S+) ", self.log()) if q != (".", "SOA")]

    def messages(self):
        raise TypeError("a DNS server takes no mail")


def answers(where, serial):
    try:
        return f" {serial} " in query(where, ".", "SOA", 0.3)[1][0][1]
    except (TimeoutError, IndexError):
        return False


def query(where, name, kind, seconds=5.0):
    """Asks a server over UDP, once. (rcode's name, [(type, data) of the answer section]); TimeoutError if it is silent."""
    number = secrets.randbits(16)
    labels = b"".join(bytes([len(x)]) + x.encode() for x in name.rstrip(".").split(".") if x)
    question = struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", TYPES[kind], 1)
    end = time.monotonic() + seconds
    with socket.socket(socket.AF_INET6 if ":" in where[0] else socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(where)
        try:
            s.send(question)
            while True:
                s.settimeout(max(0.001, end - time.monotonic()))
                reply = s.recv(65535)
                if struct.unpack_from(">H", reply)[0] == number:
                    break
        except ConnectionRefusedError as e:
            raise TimeoutError("nobody there") from e
    _, flags, _, count, _, _ = struct.unpack_from(">6H", reply)
    at, found = len(question), []
    for _ in range(count):
        _, at = read_name(reply, at)
        number, _, _, length = struct.unpack_from(">2HIH", reply, at)
        found.append((next((k for k, v in TYPES.items() if v == number), str(number)), read_data(reply, at + 10, number, length)))
        at += 10 + length
    return RCODES.get(flags & 15, str(flags & 15)), found


def read_name(reply, at):
    """(the name, dots at its end, and where it ends in the reply)"""
    text, after = "", None
    while reply[at]:
        if reply[at] & 0xc0:
            after = after or at + 2
            at = struct.unpack_from(">H", reply, at)[0] & 0x3fff
        else:
            text += reply[at + 1:at + 1 + reply[at]].decode() + "."
            at += 1 + reply[at]
    return text or ".", after or at + 1


def read_data(reply, at, kind, length):
    if kind in (1, 28):
        return socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, reply[at:at + length])
    if kind in (2, 5, 12):
        return read_name(reply, at)[0]
    if kind == 15:
        return f"{struct.unpack_from('>H', reply, at)[0]} {read_name(reply, at + 2)[0]}"
    if kind == 6:
        primary, at = read_name(reply, at)
        mailbox, at = read_name(reply, at)
        return f"{primary} {mailbox} {' '.join(map(str, struct.unpack_from('>5I', reply, at)))}"
    return reply[at:at + length].hex()
