"""What all peers share: a root to run in, made of the unpacked packages, thrown away afterwards.

A peer runs in the test's private world (lib/netns.py), chrooted to an overlay over its cached root; all it writes lies in
memory. It has a syslog socket of its own, users of its own, and no process of it outlives stop() or the world.

    with postfix.start(listen=[("198.18.0.10", 25)]) as peer:
        peer.address, peer.port
        peer.messages()         # [Delivered]: what arrived
        peer.log()              # what it told syslog, and its output
"""
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from lib import netns
from peers import fetch
from peers.fetch import Unavailable

BOX = 5000                      # the user who owns the mailboxes
USERS = {"root": 0, "daemon": 1, "mail": 8, "nobody": 65534, "postfix": 101, "postgrey": 102, "Debian-exim": 103, "opensmtpd": 104,
         "opensmtpq": 105, "box": BOX}
GROUPS = {**USERS, "nogroup": 65534, "postdrop": 107, "adm": 4, "utmp": 43, "tty": 5}
FILES = 4096                    # descriptors: some close every possible one at their start, and where a million are allowed that takes a while
STARTING = 20                   # seconds a peer may take until it answers
SHM = "/dev/shm"                # netns.enter() made it ours; it goes when the world goes
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TZ": "UTC"}
TRACE = {b"return-path", b"delivered-to", b"x-original-to", b"envelope-to", b"delivery-date", b"x-greylist", b"received"}


class Root:
    """A root to run programs in."""

    def __init__(self, peer):
        if not netns.inside():
            raise RuntimeError("peers run in a private world: call netns.enter() first")
        lower = fetch.root(peer)
        self.top = tempfile.mkdtemp(prefix=f"{peer}-", dir=SHM)
        self.path = f"{self.top}/root"
        self.processes = {}             # by program
        self._mounted = []
        os.chmod(self.top, 0o755)
        for d in ("root", "up", "work"):
            os.mkdir(f"{self.top}/{d}")
        try:
            self._mount("-t", "overlay", "-o", f"lowerdir={lower},upperdir={self.top}/up,workdir={self.top}/work", "overlay", self.path)
        except OSError:                                  # no overlays here: a copy
            subprocess.run(["cp", "-a", lower + "/.", self.path], check=True, timeout=60)
        for d in ("proc", "dev", "tmp", "run", "etc", "box"):
            os.makedirs(f"{self.path}/{d}", exist_ok=True)
        self._mount("-t", "proc", "proc", f"{self.path}/proc")
        self._mount("-t", "tmpfs", "-o", "mode=755", "dev", f"{self.path}/dev")
        for node in ("null", "zero", "full", "random", "urandom"):
            self.write(f"dev/{node}", "")
            self._mount("--bind", f"/dev/{node}", f"{self.path}/dev/{node}")
        self.directory("dev/shm", mode=0o1777)
        self.directory("tmp", mode=0o1777)
        self.directory("box", BOX, BOX)
        self.write("etc/passwd", "".join(f"{n}:x:{i}:{i}::{'/box' if i == BOX else '/nonexistent'}:/usr/sbin/nologin\n" for n, i in USERS.items()))
        self.write("etc/group", "".join(f"{n}:x:{i}:\n" for n, i in GROUPS.items()))
        self.write("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n")
        self.write("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")
        self.write("etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        self.write("etc/mailname", f"{peer}.test\n")
        self._syslog()

    def _mount(self, *arguments):
        netns.must("mount", *arguments)
        self._mounted.append(arguments[-1])

    def directory(self, path, uid=0, gid=0, mode=0o755):
        os.makedirs(f"{self.path}/{path}", exist_ok=True)
        self._own(path, uid, gid, mode)

    def write(self, path, text, uid=0, gid=0, mode=0o644):
        full = f"{self.path}/{path}"
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as f:
            f.write(text)
        self._own(path, uid, gid, mode)

    def _own(self, path, uid, gid, mode):
        if netns.uids() != "one":
            os.chown(f"{self.path}/{path}", uid, gid)
        os.chmod(f"{self.path}/{path}", mode)

    def share(self, directory, path):
        """Shows a directory of the outside at PATH in here."""
        self.directory(path)
        self._mount("--bind", directory, f"{self.path}/{path}")

    def _syslog(self):
        """Whoever logs to syslog in here, logs to our file."""
        self._log = open(f"{self.top}/log", "ab", buffering=0)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"{self.path}/dev/log")
        os.chmod(f"{self.path}/dev/log", 0o666)

        def read():
            while line := self._socket.recv(65536):
                self._log.write(line.partition(b">")[2].rstrip(b"\0\n") + b"\n")

        self._reader = threading.Thread(target=read, daemon=True)
        self._reader.start()

    def log(self):
        with open(f"{self.top}/log", "rb") as f:
            return f.read().decode("utf-8", "replace")

    def spawn(self, *argv, env=None):
        """Starts a program that stays, its output in the log."""
        setting = ["/usr/bin/env", *(f"{k}={v}" for k, v in env.items())] if env else []         # for it, not for chroot
        p = subprocess.Popen(["prlimit", f"--nofile={FILES}:{FILES}", "chroot", self.path, *setting, *argv], env=ENVIRONMENT,
                             stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True)
        self.processes[argv[0]] = p
        return p

    def wait(self, condition, what, seconds=STARTING):
        """Until CONDITION() is true; says what the log says when that does not come, or a program has ended instead."""
        end = time.monotonic() + seconds
        while not condition():
            why = [f"{name} ended with {p.returncode}" for name, p in self.processes.items() if p.poll() is not None]
            if time.monotonic() > end:
                why.append(f"not within {seconds} s")
            if why:
                raise OSError(f"{what}: {why[0]}\n{self.log()[-3000:]}")
            time.sleep(0.01)

    def pids(self):
        """Every process whose root lies in ours."""
        found = []
        for p in filter(str.isdigit, os.listdir("/proc")):
            try:
                if (os.readlink(f"/proc/{p}/root") + "/").startswith(self.path + "/"):
                    found.append(int(p))
            except OSError:
                pass
        return found

    def kill_all(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            end = time.monotonic() + 3
            while self.pids() and time.monotonic() < end:
                for p in self.pids():           # again and again: some fork meanwhile
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(p, number)
                time.sleep(0.02)
                for p in self.processes.values():
                    p.poll()
        for p in self.processes.values():
            p.wait(5)

    def close(self):
        self.kill_all()
        self._socket.shutdown(socket.SHUT_RDWR)         # the reader gets to its end
        self._reader.join(5)
        self._socket.close()
        for path in reversed(self._mounted):
            netns.run("umount", "-l", path)
        self._log.close()
        shutil.rmtree(self.top, ignore_errors=True)


@contextlib.contextmanager
def building(peer):
    """A new Root; it is closed again if what is done with it here fails."""
    root = Root(peer)
    try:
        yield root
    except BaseException:
        root.close()
        raise


def need_users(peer):
    """For peers that run as users of their own."""
    if netns.uids() not in ("all", "range"):
        raise Unavailable(f"{peer} runs as users of its own, which takes root, or a range of subordinate ids in /etc/subuid with newuidmap")


class Peer:
    """A server that runs. The modules' start() make it."""

    def __init__(self, root, listen=()):
        self.root = root
        self.listen = [tuple(a) for a in listen]

    address = property(lambda self: self.listen[0][0])
    port = property(lambda self: self.listen[0][1])

    def ready(self, greeting=b"220"):
        """Waits until it greets at each address it listens on."""
        for where in self.listen:
            self.root.wait(lambda where=where: greets(where, greeting), f"{type(self).__name__} at {where}")
        return self

    def messages(self):
        """What was delivered, one item a recipient, in no particular order."""
        new = f"{self.root.path}/box/new"
        return [Delivered(f"{new}/{n}") for n in (os.listdir(new) if os.path.isdir(new) else ())]

    def wait_messages(self, count, seconds=20):
        """Until there are COUNT messages; returns them."""
        self.root.wait(lambda: len(self.messages()) >= count, f"{count} messages in {type(self).__name__}'s box", seconds)
        return self.messages()

    def log(self):
        return self.root.log()

    def stop(self):
        self.root.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stop()


def greets(where, greeting):
    try:
        with socket.create_connection(where, 2) as s:
            if s.recv(len(greeting)) != greeting:
                return False
            s.sendall(b"QUIT\r\n")
            while s.recv(4096):
                pass
            return True
    except OSError:
        return False


class Delivered:
    """A message in a mailbox, LF line ends: `raw` with what the server put above it, `data` as it was sent to the server."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.raw = f.read()
        self.trace, self.data = split_trace(self.raw)
        self.sender = (self.trace.get(b"return-path") or b"<>").strip(b"<>").decode()
        names = [b"x-original-to", b"envelope-to", b"delivered-to"]
        self.recipient = next((self.trace[n] for n in names if n in self.trace), b"").strip(b"<>").decode()


def split_trace(raw):
    """The header fields a server puts on top at delivery, up to and with one Received, and the rest."""
    trace, rest = {}, raw
    while True:
        name, colon, _ = rest.partition(b":")
        if not colon or name.lower() not in TRACE or b"\n" in name or (b"received" in trace and name.lower() == b"received"):
            return trace, rest
        end = rest.index(b"\n") + 1
        while rest[end:end + 1] in (b" ", b"\t"):
            end = rest.index(b"\n", end) + 1
        trace[name.lower()] = rest[len(name) + 1:end].replace(b"\n", b"").strip()
        rest = rest[end:]
