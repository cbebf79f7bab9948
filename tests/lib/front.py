"""sendmail on a private spool, and what it left there.

    front = Front(tmp)
    done = front.run("-t", "-i", stdin=b"To: a@x\\n\\nhi\\n")
    done.status, done.out, done.err
    [m] = front.messages()
    m.sender, m.to, m.header, m.body
"""
import collections
import os
import re
import shutil
import stat
import subprocess

Done = collections.namedtuple("Done", "status out err")
HOST = "host.example.org"
ID = r"[0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}"
DATE = r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}"


def program(name="sendmail"):
    """The real file: what it looks for beside itself must be found."""
    return os.path.realpath(os.path.join(os.environ["ABIDE_BUILD"], name))


class Stored:
    """A file of the spool: envelope and text, its sizes checked."""

    def __init__(self, path):
        self.path = path
        self.id = os.path.basename(path)
        self.mode = stat.S_IMODE(os.stat(path).st_mode)
        with open(path, "rb") as f:
            head, _, self.text = f.read().partition(b"\n\n")
        self.lines = head.decode().split("\n")
        fields = [line.partition(" ") for line in self.lines]
        self.version = self.lines[0]
        self.to = [value[1:-1] for name, _, value in fields if name == "to"]
        self.sender = next(value[1:-1] for name, _, value in fields if name == "from")
        self.user = next(value for name, _, value in fields if name == "user")
        self.say = "say" in self.lines
        self.loop = next((int(value) for name, _, value in fields if name == "loop"), 0)
        self.sizes = next(value.split() for name, _, value in fields if name == "size")
        self.head, _, self.body = self.text.partition(b"\n\n")

    def true_sizes(self):
        """What the size line must say."""
        lines = self.text.split(b"\n")
        bits = "8" if any(c >= 0x80 or c == 0 for c in self.text) else "7"
        return [f"{len(self.text):015}", f"{len(self.text) + self.text.count(10):015}", bits, f"{max(map(len, lines)):010}"]

    @property
    def header(self):
        """The fields but Received, folded as they are; what the front makes itself is masked."""
        text = self.head.decode("latin-1") + "\n"
        text = re.sub(rf"\AReceived: from \S+ \(uid \d+\)\n\tby {HOST} \(abide \S+\) id {ID}(\n\tfor <[^>]*>)?;\n\t{DATE}\n", "", text)
        text = re.sub(rf"(?m)^((?:Resent-)?Date): {DATE}$", r"\1: *", text)
        text = re.sub(rf"(?m)^((?:Resent-)?Message-ID): <{ID}(-resent)?@{HOST}>$", r"\1: *", text)
        return text


class Front:
    def __init__(self, directory, *settings, name="front"):
        self.dir = os.path.join(directory, name)
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)
        os.chmod(self.dir, 0o755)
        self.spool = os.path.join(self.dir, "spool")
        self.conf = os.path.join(self.dir, "abide.conf")
        self.configure(*settings)
        self.run("-odq", "a@x.example")         # makes the spool
        with open(os.path.join(self.spool, "lock"), "w"):
            pass                                # a pass was made today, so that nobody complains
        self.clear()

    def configure(self, *settings, spooler="off"):
        lines = [f"spool {self.spool}", f"hostname {HOST}", f"spooler {spooler}", *settings]
        with open(self.conf, "w") as f:
            f.write("".join(line + "\n" for line in lines))

    def env(self, **more):
        return {**os.environ, "ABIDE_CONF": self.conf, **more}

    def run(self, *args, stdin=b"", program=program(), env=None, timeout=60, **popen):
        """STDIN: bytes, or a file."""
        given = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
        done = subprocess.run([program, *args], capture_output=True, env=env or self.env(), timeout=timeout, **given, **popen)
        return Done(done.returncode, done.stdout.decode("latin-1"), done.stderr.decode("latin-1"))

    def path(self, *parts):
        return os.path.join(self.spool, *parts)

    def messages(self):
        return [Stored(self.path("new", name)) for name in sorted(os.listdir(self.path("new")))]

    def left_in_tmp(self):
        return os.listdir(self.path("tmp"))

    def clear(self):
        for folder in ("new", "tmp"):
            for name in os.listdir(self.path(folder)):
                os.unlink(self.path(folder, name))
