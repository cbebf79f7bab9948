"""`abide queue` on a private spool: what it shows, what it does to names, and that it gets along with a spooler which changes
the same names meanwhile. There is no daemon here: the test files mail by hand, as the spooler would."""
import contextlib
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from lib import tap

BUILD = os.environ["ABIDE_BUILD"]
OTHER = 12345                           # an owner of a spool who is not us


class Spool:
    """A private spool, its programs and its configuration below one directory; UID owns it."""

    def __init__(self, top, uid):
        self.top, self.uid, self.path = top, uid, os.path.join(top, "spool")
        os.mkdir(self.path, 0o700)
        for name in "tmp", "new", "cur", "hold", "dead", "trail", "sites":
            os.mkdir(os.path.join(self.path, name), 0o700)
        os.mkfifo(os.path.join(self.path, "wake"), 0o600)
        self.log = os.path.join(top, "log")
        open(self.log, "w", encoding="utf-8").close()
        with open(os.path.join(top, "conf"), "w", encoding="utf-8") as f:
            f.write(f"spool {self.path}\nlog {self.log}\nspooler off\nhostname mta.example.org\n")
        for name in "sendmail", "abide":
            shutil.copy(os.path.join(BUILD, name), os.path.join(top, name))
        os.chmod(top, 0o755)
        for where, dirs, files in os.walk(top):
            for name in [where] + [os.path.join(where, f) for f in dirs + files]:
                os.chown(name, uid, uid)

    def run(self, *words, program="abide", uid=None, stdin="", config=True):
        uid = self.uid if uid is None else uid
        who = {} if uid == os.geteuid() else {"user": uid, "group": uid, "extra_groups": []}
        env = {**os.environ, "LC_ALL": "C"}
        if config:
            env["ABIDE_CONF"] = os.path.join(self.top, "conf")
        return subprocess.run([os.path.join(self.top, program), *words], input=stdin, capture_output=True, text=True, timeout=60,
                              env=env, cwd="/", **who)

    def queue(self, *words, **how):
        return self.run("queue", *words, **how)

    def submit(self, *rcpts, sender="alice@example.org"):
        """By the real sendmail; the ID."""
        before = set(os.listdir(self.at("new")))
        r = self.run("-f", sender, *rcpts, program="sendmail", stdin="Subject: hi\n\nhi\n")
        assert r.returncode == 0, r
        (new,) = set(os.listdir(self.at("new"))) - before
        return new

    def at(self, *parts):
        return os.path.join(self.path, *parts)

    def file(self, ident, *domains, due=None, key="nabc", where="cur"):
        """What the spooler does with new/ID."""
        for d in domains:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self.at(where, d), 0o700)
                os.chown(self.at(where, d), self.uid, self.uid)
            os.link(self.at("new", ident), self.at(where, d, f"{self.due(due):010d}.{ident}.{key}"))
        os.unlink(self.at("new", ident))

    @staticmethod
    def due(seconds):
        return int(time.time()) + (3600 if seconds is None else seconds)

    def names(self, where):
        """{(domain, ID): (due, key)}"""
        out = {}
        for d in os.listdir(self.at(where)):
            for name in os.listdir(self.at(where, d)):
                due, ident, key = name.split(".")
                out[d, ident] = int(due), key
        return out

    def trail(self, ident):
        return "".join(open(self.at("trail", n), encoding="utf-8").read() for n in os.listdir(self.at("trail")) if n.startswith(ident))

    def put_trail(self, ident, text):
        path = self.at("trail", f"{ident}.{self.uid}")
        with open(path, "a", encoding="utf-8") as f:
            f.write(text)
        os.chown(path, self.uid, self.uid)

    def clear(self):
        for where in "new", "dead", "trail":
            for name in os.listdir(self.at(where)):
                os.unlink(self.at(where, name))
        for where in "cur", "hold":
            for name in os.listdir(self.at(where)):
                shutil.rmtree(self.at(where, name))

    def owners(self):
        """Who owns what below the spool."""
        return {os.lstat(os.path.join(where, name)).st_uid for where, dirs, files in os.walk(self.path) for name in dirs + files}


class Listener:
    """The spooler's end of `wake`: notes the lines; on "n" calls FILES, if there is one."""

    def __init__(self, spool, files=None):
        self.fd = os.open(spool.at("wake"), os.O_RDWR | os.O_NONBLOCK)
        self.lines, self.files, self.ended = [], files, False
        self.thread = threading.Thread(target=self._listen)
        self.thread.start()

    def _listen(self):
        while not self.ended:
            with contextlib.suppress(BlockingIOError):
                for line in os.read(self.fd, 65536).decode().splitlines():
                    self.lines.append(line)
                    if line == "n" and self.files:
                        self.files()
            time.sleep(0.002)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        time.sleep(0.02)
        self.ended = True
        self.thread.join()
        os.close(self.fd)


def shows(t, spool):
    r = spool.queue()
    t.equal((r.returncode, r.stdout, r.stderr), (0, "The queue is empty\n", ""), "an empty queue says so")
    new = spool.submit("you@example.net", sender="new@example.org")
    grey = spool.submit("bob@example.net", "carol@example.com", "dave@example.com")
    spool.file(grey, "example.net", "example.com", due=240, key="gabc")
    now = int(time.time())
    spool.put_trail(grey, f"{now}000 delivered 2 mx.example.com 250 ok\n{now}000 failed 3 perm_mailbox 550 no\n"
                    f"{now}000 deferred 1 greylisted due={now + 240} n=0 first=1 last=2 grey=1:2 host=- 451 4.7.1 later\n")
    held = spool.submit("eve@example.edu", sender="")
    spool.file(held, "example.edu", where="hold", key="habc")
    r = spool.queue()
    t.equal((r.returncode, r.stderr), (0, ""), "a listing exits 0")
    out = r.stdout
    t.ok(re.search(rf" \d+s +\d+B  {new}  new +-  +new@example\.org\n +you@example\.net: not tried yet\n", out), "what is new", out)
    t.ok(re.search(rf"  {grey}  greylisted +in [34]m +alice@example\.org\n"
                   r" +bob@example\.net: greylisted, tried 2 times, next in [34]m\n"
                   r" +carol@example\.com: delivered\n +dave@example\.com: failed\n", out), "what is deferred, and how each stands", out)
    t.ok(re.search(rf"  {held}  held: by the administrator +-  +<> \(a report\)\n +eve@example\.edu: not tried yet\n", out), "what is held",
         out)
    t.ok("\n3 messages, 1 held\n" in out and out.endswith("No spooler is running: nothing is sent until abided starts\n"), "the end", out)
    t.equal(len([x for x in out.splitlines() if grey in x]), 1, "a message at two domains is one line")
    for what, want in (new, {new}), ("example.com", {grey}), ("EXAMPLE.COM", {grey}), ("bob@example.net", {grey}), ("all", {new, grey, held}):
        r = spool.queue("list", what)
        t.equal((r.returncode, set(re.findall(r"\w{6}-\w{6}-\w{2}", r.stdout))), (0, want), f"list {what}", r.stderr)
    r = spool.queue("list", "nobody@example.net", new)
    t.equal((r.returncode, r.stderr), (1, "abide: nothing in the queue for nobody@example.net\n"), "one that matches nothing is told: 1")
    os.rename(spool.at("new", new), spool.at("dead", new))
    t.ok(f"\n1 in {spool.path}/dead: " in spool.queue().stdout, "dead/ is not forgotten")
    many = spool.submit(*(f"r{i}@example.net" for i in range(30)))
    t.ok(f"and 10 more: abide queue list {many}\n" in spool.queue().stdout, "a long list of recipients is cut")
    t.ok("r29@example.net" in spool.queue("list", many).stdout, "and whole if asked for")
    spool.clear()
    ident = spool.submit("ä\u009b@example.net")
    t.ok("\u009b" not in spool.queue().stdout and "ä?@example.net" in spool.queue().stdout, "nothing in it moves a cursor", ident)
    spool.clear()


def acts(t, spool, uid):
    one = spool.submit("bob@example.net", "carol@example.com")
    spool.file(one, "example.net", "example.com", key="gabc")
    two = spool.submit("ann@example.net")
    spool.file(two, "example.net", key="rxyz")
    start = spool.names("cur")
    first = start["example.net", one]
    r = spool.queue("hold", "example.net", uid=uid)
    t.equal((r.returncode, r.stdout, r.stderr), (0, "2 messages held\n", ""), "hold DOMAIN")
    t.equal(spool.names("hold"), {("example.net", one): (first[0], "habc"), ("example.net", two): (start["example.net", two][0], "hxyz")},
            "its names are in hold/, with the letter h and the DUE they had")
    t.equal(list(spool.names("cur")), [("example.com", one)], "other domains are left alone")
    t.equal(stat.S_IMODE(os.stat(spool.at("hold", "example.net")).st_mode), 0o700, "the directory has its parent's mode")
    t.ok(re.search(r"^\d+ moved hold by \S+: example\.net\n", spool.trail(one)), "the trail tells who", spool.trail(one))
    t.ok(re.search(rf" {two} held by \S+: example\.net\n", open(spool.log, encoding="utf-8").read()), "so does the log")
    t.equal(spool.queue("hold", "example.net", uid=uid).returncode, 1, "to hold what is held: 1")
    r = spool.queue("retry", two, uid=uid)
    t.equal((r.returncode, r.stderr), (1, "abide: 1 held: `abide queue release` lets them go\n"), "what is held is not retried")
    r = spool.queue("release", one, uid=uid)
    t.equal((r.returncode, r.stdout), (0, "1 message released (no spooler is running: start abided)\n"), "release ID")
    due, key = spool.names("cur")["example.net", one]
    t.ok(abs(due - time.time()) < 30 and key == "nabc", "it is due now, as if new", due, key)
    r = spool.queue("retry", one, uid=uid)
    t.equal((r.returncode, r.stdout), (0, "1 message to be tried at once (no spooler is running: start abided)\n"), "retry ID: one message")
    due, key = spool.names("cur")["example.com", one]
    t.ok(abs(due - time.time()) < 30 and key == "gabc", "retry changes the DUE, not the cause", due, key)
    r = spool.queue("drop", "carol@example.com", uid=uid)
    t.equal((r.returncode, r.stdout), (0, "1 message dropped\n"), "drop ADDRESS")
    t.ok(re.search(r"^\d+ failed 2 perm_other dropped by \S+\n", spool.trail(one), re.M), "the trail settles those who are dropped",
         spool.trail(one))
    t.ok(f" {one} Completed" not in open(spool.log, encoding="utf-8").read(), "the message goes on")
    r = spool.queue("drop", one, two, uid=uid)
    t.equal((r.returncode, r.stdout, spool.names("cur"), spool.names("hold")), (0, "2 messages dropped\n", {}, {}), "drop ID ID")
    t.ok(f" {one} Completed" in open(spool.log, encoding="utf-8").read(), "the message is over")
    t.equal(spool.owners(), {spool.uid}, "everything in the spool belongs to its owner")
    spool.clear()


def refuses(t, spool):
    both = spool.submit("bob@example.net", "ann@example.net")
    spool.file(both, "example.net")
    r = spool.queue("drop", "bob@example.net")
    t.equal((r.returncode, len(spool.names("cur"))), (69, 1), "an address alone does not drop the mail of others", r.stderr)
    t.equal(spool.queue("drop", "bob@example.net", "example.net").returncode, 0, "but with its domain it does")
    ident = spool.submit("bob@example.net")
    spool.file(ident, "example.net")
    before = spool.names("cur")
    for words, status in ((("drop", "all"), 64), (("hold",), 64), (("hold", "a b"), 64), (("hold", "@"), 64), (("hold", ""), 64),
                          (("frobnicate", "all"), 64), (("hold", "--force", "all"), 64), (("--frob",), 64), (("hold", "example.org"), 1),
                          (("hold", "ann@example.net"), 1), (("release", "all"), 1), (("hold", "1tDabc-0001Xy-2c"), 1)):
        r = spool.queue(*words)
        t.equal((r.returncode, r.stdout, len(r.stderr.splitlines())), (status, "", 1), f"queue {' '.join(words)}: {status}, one line", r.stderr)
    t.equal(spool.names("cur"), before, "and nothing was touched")
    t.equal((spool.queue("drop", "all", "--force").returncode, spool.names("cur")), (0, {}), "drop all --force")
    t.equal(spool.queue("drop", "all", "--force").returncode, 1, "on an empty queue: 1")
    for words in ("--help",), ("queue", "--help"), ("--version",):
        r = spool.run(*words)
        t.ok(r.returncode == 0 and r.stdout and not r.stderr, f"{' '.join(words)}: 0, on stdout")
    for words in (), ("frob",), ("-X",):
        r = spool.run(*words)
        t.ok(r.returncode == 64 and not r.stdout and r.stderr, f"abide {' '.join(words)}: 64, on stderr")
    t.equal(spool.run("-C", "/nonexistent", "queue").returncode, 66, "-C must be there")
    t.equal(spool.run("-C", os.path.join(spool.top, "conf"), "queue", config=False).stdout, "The queue is empty\n", "-C FILE")
    spool.clear()


def unfiled(t, spool):
    ident = spool.submit("bob@example.net")
    for what in ident, "example.net", "bob@example.net", "all":
        r = spool.queue("hold", what)
        t.equal((r.returncode, r.stdout, len(r.stderr.splitlines())), (75, "", 1), f"hold {what} in new/ without a spooler: 75, one line", r.stderr)
    t.equal(spool.queue("hold", "example.org").returncode, 1, "what is not meant does not count")
    with Listener(spool, lambda: spool.file(ident, "example.net")) as wake:
        r = spool.queue("hold", "bob@example.net")
    t.equal((r.returncode, r.stdout, list(spool.names("hold"))), (0, "1 message held\n", [("example.net", ident)]),
            "with one, it files the message first", r.stderr)
    t.equal(wake.lines, ["n", "c example.net"], "which it is asked to")
    spool.clear()


def wakes(t, spool):
    for _ in range(5):
        spool.file(spool.submit("a@example.net", "a@example.com"), "example.net", "example.com")
    spool.file(spool.submit("a@example.edu"), "example.edu", where="hold", key="habc")
    with Listener(spool) as wake:
        r = spool.queue("retry", "all")
    t.equal((r.returncode, r.stdout), (0, "5 messages to be tried at once\n"), "retry all")
    t.equal(sorted(wake.lines), ["c example.com", "c example.net"], "one line a domain")
    t.equal(len({due for due, _ in spool.names("cur").values()}), 1, "the names of one message stay equal")
    spool.clear()


def races(t, spool):
    """A spooler renames all names all the time, and removes some."""
    ids = [spool.submit("a@example.net") for _ in range(200)]
    for i in ids:
        spool.file(i, "example.net")
    ended, settled = threading.Event(), set()

    def churn():
        turn = 0
        while not ended.is_set():
            turn += 1
            for (_, ident), (due, key) in spool.names("cur").items():
                old = spool.at("cur", "example.net", f"{due:010d}.{ident}.{key}")
                with contextlib.suppress(FileNotFoundError):
                    if turn == 1 and ident in ids[::10]:
                        os.unlink(old)
                        settled.add(ident)
                    else:
                        os.rename(old, spool.at("cur", "example.net", f"{due + 1:010d}.{ident}.{key}"))

    spooler = threading.Thread(target=churn)
    spooler.start()
    results, end = [], time.monotonic() + 60
    while time.monotonic() < end and (len(results) < 2 or spool.names("cur")):
        results.append(spool.queue("hold", "all").returncode)
    ended.set()
    spooler.join()
    t.equal({i for _, i in spool.names("hold")}, set(ids) - settled, "all that was not settled is held, each once")
    t.ok(set(results) <= {0, 1}, "a name that vanishes is no failure", results)
    t.equal(spool.names("cur"), {}, "nothing is left behind")
    spool.clear()


def strangers(t, spool):
    ident = spool.submit("bob@example.net")
    spool.file(ident, "example.net")
    for words in ("list",), ("hold", "all"), ("drop", ident):
        r = spool.queue(*words, uid=OTHER + 1)
        t.equal((r.returncode, r.stdout, len(r.stderr.splitlines())), (77, "", 1), f"another user's {words[0]}: 77, one line", r.stderr)
    t.equal(len(spool.names("cur")), 1, "and nothing happened")
    spool.clear()


def main(t):
    owners = [os.geteuid()] + ([OTHER] if os.geteuid() == 0 else [])
    for uid in owners:
        with tempfile.TemporaryDirectory(prefix="abide-queue.") as top:
            spool = Spool(top, uid)
            t.diag(f"---- the spool of uid {uid}")
            for test in shows, refuses, unfiled, wakes, races:
                test(t, spool)
            acts(t, spool, uid)
            if uid == OTHER:
                t.diag("---- root acts on it")
                acts(t, spool, 0)
                strangers(t, spool)
    if os.geteuid() != 0:
        t.diag("---- not root: nobody else can have a spool here")


tap.main(main)
