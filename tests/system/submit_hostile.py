"""sendmail called by somebody who means harm, or from a machine that fails: exit 0 means durable and whole, anything else that
nothing was taken; nobody gains a right."""
import os
import random
import re
import resource
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from lib import netns, tap
from lib.front import HOST, Front, Stored, program

SANITIZERS = os.environ.get("ABIDE_SANITIZERS") == "1"
MAIL = b"Subject: s\n\nfirst\nlast\n"
BODY = b"first\nlast\n"
STRACE = shutil.which("strace")


def nothing(front):
    return (front.messages(), front.left_in_tmp()) == ([], [])


def whole(front, body=BODY):
    return [m.body for m in front.messages()] == [body] and front.left_in_tmp() == []


def honest(front, status, body=BODY):
    """The promise."""
    return whole(front, body) if status == 0 else nothing(front)


def sh(front, command, stdin=MAIL, **more):
    """A shell arranges the descriptors."""
    return subprocess.run(["sh", "-c", command, "sh", program()], input=stdin, capture_output=True, env=front.env(**more), timeout=60)


# ---- what is inherited

def descriptors(t, front):
    for closed in ("0", "1", "2", "01", "02", "12", "012"):
        command = '"$1" u@x.example ' + " ".join(f"{fd}{'<' if fd == '0' else '>'}&-" for fd in closed)
        status = sh(front, command).returncode
        t.equal((status, honest(front, status)), (74 if "0" in closed else 0, True), f"closed on entry: {', '.join(closed)}")
        front.clear()
    for name, command in [("a directory", '"$1" u@x.example </'), ("not for reading", '"$1" u@x.example 0>/dev/null')]:
        done = sh(front, command)
        t.ok(done.returncode == 74 and nothing(front) and done.stderr.startswith(b"sendmail: "), f"stdin is {name}: 74", done)
    reader, dead = os.pipe()
    os.close(reader)
    for name, fd in [("a dead pipe", dead), ("/dev/full", os.open("/dev/full", os.O_WRONLY))]:
        p = subprocess.run([program(), "-Z", "u@x.example"], input=MAIL, stderr=fd, env=front.env(), timeout=60)
        t.equal(p.returncode, 64, f"stderr is {name}: the status says it")
        os.close(fd)
    ours, theirs = socket.socketpair()
    ours.sendall(MAIL[:-5])
    p = subprocess.Popen([program(), "u@x.example"], stdin=theirs, env=front.env())
    theirs.close()
    time.sleep(0.1)
    ours.close()
    t.equal((p.wait(30), whole(front, b"first\n")), (0, True), "a socket that is closed is an end")
    front.clear()
    listener = socket.create_server(("127.0.0.1", 0))
    ours = socket.create_connection(listener.getsockname())
    theirs, _ = listener.accept()
    ours.sendall(MAIL[:-5])
    p = subprocess.Popen([program(), "u@x.example"], stdin=theirs, stderr=subprocess.PIPE, env=front.env())
    theirs.close()
    time.sleep(0.1)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ours.close()
    t.equal((p.wait(30), p.stderr.read(), nothing(front)), (74, b"sendmail: read the message: Connection reset by peer\n", True), "one that is reset is none")
    p.stderr.close()
    listener.close()


def limits(t, front):
    def limited(which, value):
        return lambda: resource.setrlimit(which, (value, value))

    big = b"\n" + b"x" * 200000
    for size in (0, 1, 100, 1000, 65536, 199999):
        done = front.run("u@x.example", stdin=big, preexec_fn=limited(resource.RLIMIT_FSIZE, size))
        t.ok(done.status == 75 and nothing(front) and "File too large" in done.err, f"RLIMIT_FSIZE {size}: 75", done)
    for n in range(4, 9):        # the loader needs one
        done = front.run("u@x.example", stdin=MAIL, preexec_fn=limited(resource.RLIMIT_NOFILE, n))
        t.ok(done.status in (0, 75) and honest(front, done.status), f"RLIMIT_NOFILE {n}: 0 or 75", done)
        front.clear()
    if not SANITIZERS:
        for mb in (3, 4, 5, 8, 16):
            done = front.run("-t", stdin=b"To: u@x.example\nX: " + b"y" * 900000 + b"\n\n" + BODY, preexec_fn=limited(resource.RLIMIT_AS, mb << 20))
            t.ok(done.status in (0, 71, 75, 127) and honest(front, done.status), f"RLIMIT_AS {mb} MB: 0 or later", done)     # 127: the loader
            front.clear()
    for mask in (0, 0o777, 0o027):
        done = front.run("u@x.example", stdin=MAIL, preexec_fn=lambda: os.umask(mask))
        t.equal((done.status, [m.mode for m in front.messages()]), (0, [0o660]), f"umask {mask:03o} changes no mode")
        front.clear()


def environment(t, front):
    for name, more in [("TZ a file", {"TZ": ":/etc/shadow"}), ("TZ of 4 kB", {"TZ": "A" * 4096}), ("a megabyte", {f"V{i}": "x" * 100000 for i in range(8)}),
                       ("LOGNAME with a newline", {"LOGNAME": "a\nb", "USER": "c\nBcc: d"})]:
        done = front.run("u@x.example", stdin=MAIL, env=front.env(**more))
        t.ok(done.status == 0 and whole(front) and b"Bcc" not in front.messages()[0].text, f"environment: {name}", done)
        front.clear()
    done = front.run("u@x.example", stdin=MAIL, env={"ABIDE_CONF": front.conf})
    t.ok(done.status == 0 and whole(front), "an empty environment", done)
    front.clear()
    for name, argv in [("none at all", []), ("empty", [""]), ("a path", ["/x/../mailq/", "u@x.example"]), ("5 kB", ["x" * 5000, "u@x.example"])]:
        p = subprocess.run(argv, executable=program(), input=MAIL, capture_output=True, env=front.env(), timeout=60) if argv else None
        t.ok(p is None or p.returncode == (0 if len(argv) > 1 else 64), f"argv[0]: {name}", p)
        front.clear()
    done = front.run(*["-t"] * 10000, *["-oi"] * 10000, "-f", "a@b", *["u@x.example"] * 10000, stdin=MAIL)
    t.ok(done.status == 0 and whole(front), "options and recipients ten thousand times", done)
    front.clear()
    done = front.run("-F", "\\\"" * 50000, "u@x.example", stdin=MAIL)
    t.ok(done.status == 0 and max(map(len, front.messages()[0].head.split(b"\n"))) < 998, "-F of 100 kB is cut", done)
    front.clear()
    done = front.run("-F", "\xe4" * 50000, "u@x.example", stdin=MAIL)
    t.ok(done.status == 0 and max(map(len, front.messages()[0].head.split(b"\n"))) < 998, "in UTF-8 too", done)
    front.clear()


# ---- signals

def begun(front, *args, **popen):
    """One that waits for the rest of its message."""
    p = subprocess.Popen([program(), *args, "u@x.example"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=front.env(), **popen)
    p.stdin.write(MAIL)
    p.stdin.flush()
    deadline = time.monotonic() + 20
    while not front.left_in_tmp() and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(0.01)
    return p


def signals(t, front):
    for name in ("HUP", "INT", "QUIT", "TERM", "ALRM", "USR1", "USR2", "VTALRM", "PROF", "XCPU"):
        number = getattr(signal, "SIG" + name)
        p = begun(front)
        p.send_signal(number)
        p.communicate()
        t.equal((p.returncode, nothing(front)), (-number, True), f"SIG{name} while reading: dies by it, nothing stays")
    for name in ("PIPE", "XFSZ", "CHLD", "CONT", "URG", "WINCH"):
        p = begun(front)
        p.send_signal(getattr(signal, "SIG" + name))
        p.communicate()
        t.equal((p.returncode, whole(front)), (0, True), f"SIG{name} means nothing")
        front.clear()
    p = begun(front, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    p.send_signal(signal.SIGHUP)
    p.communicate()
    t.equal((p.returncode, whole(front)), (0, True), "nohup is respected")
    front.clear()
    p = begun(front, preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32)))
    p.send_signal(signal.SIGTERM)
    p.communicate()
    t.equal((p.returncode, nothing(front)), (-signal.SIGTERM, True), "signals blocked by the caller are not")
    p = begun(front, preexec_fn=lambda: signal.setitimer(signal.ITIMER_REAL, 0.2))
    time.sleep(0.4)
    p.communicate()
    t.equal((p.returncode, whole(front)), (0, True), "an inherited alarm is off")
    front.clear()
    p = begun(front)
    p.send_signal(signal.SIGSTOP)
    time.sleep(0.05)
    p.send_signal(signal.SIGCONT)
    p.communicate()
    t.equal((p.returncode, whole(front)), (0, True), "stopped and continued")
    front.clear()


def killed(t, front):
    """At any moment: whole or not there; the name in tmp/ may stay after SIGKILL, and hinders nobody."""
    rng = random.Random(7)
    good, seen = True, {"whole": 0, "nothing": 0}
    for i in range(150):
        p = subprocess.Popen([program(), "-i", "u@x.example"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=front.env())
        number = signal.SIGKILL if i % 3 else signal.SIGTERM
        try:
            p.stdin.write(MAIL)
            p.stdin.close()
        except BrokenPipeError:
            pass
        time.sleep(rng.random() * (0.05 if SANITIZERS else 0.006))
        p.send_signal(number)
        status = p.wait(20)
        bodies = [m.body for m in front.messages()]
        good = good and bodies in ([], [BODY]) and (status != 0 or bodies == [BODY]) and (number == signal.SIGKILL or len(bodies) + len(front.left_in_tmp()) <= 1)
        seen["whole" if bodies else "nothing"] += 1
        front.clear()
    t.ok(good, "killed at 150 moments: whole or nothing, and exit 0 only for whole", seen)
    t.equal(front.run("u@x.example", stdin=MAIL).status, 0, "the next one goes in")
    front.clear()


# ---- a machine that fails

def strace(front, *options, args=("-f", "s@y.example", "u@x.example"), stdin=MAIL):
    log = os.path.join(front.dir, "strace")
    env = front.env(ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")
    done = subprocess.run([STRACE, "-f", "-y", "-o", log, *options, program(), *args], input=stdin, capture_output=True, env=env, timeout=60)
    with open(log, errors="replace") as f:
        return done, f.read()


def order(t, front):
    """Write all, sync the file, close it, rename, sync the directory; only then the spooler hears of it, and exit 0."""
    done, log = strace(front, "-e", "trace=openat,write,pwrite64,fsync,fdatasync,close,rename,renameat,renameat2,link,linkat,exit_group,unlinkat")
    spool = re.escape(front.spool)
    steps = [rf"openat\([^)]*{spool}/tmp>?, \"\S+\", O_WRONLY\|O_CREAT\|O_EXCL\|O_NOFOLLOW\|O_CLOEXEC", rf"write\(\d+<{spool}/tmp/", rf"fsync\(\d+<{spool}/tmp/\S+>\) += 0",
             rf"close\(\d+<{spool}/tmp/\S+>\) += 0", rf"renameat2?\(.*{spool}/tmp>.*{spool}/new>.*\) = 0", rf"fsync\(\d+<{spool}/new>\) += 0",
             rf"openat\([^)]*{spool}>?, \"wake\", O_WRONLY[^)]*O_NONBLOCK", r"exit_group\(0\)"]
    at = [m.start() if (m := re.search(s, log)) else -1 for s in steps]
    t.ok(done.returncode == 0 and -1 not in at and at == sorted(at), "the order of acts is that of durability", at, log[-3000:])
    writes = [m.start() for m in re.finditer(rf"(?m)^.*\bp?write(64)?\(\d+<{spool}/tmp/", log)]
    t.ok(writes and max(writes) < at[2], "nothing is written behind the sync", log[-3000:])
    front.clear()
    done, log = strace(front, "-e", "trace=openat,fsync,renameat2,read", args=("u@x.example", "b@@d"))
    renames = [m.start() for m in re.finditer(r"renameat2\(", log)]
    syncs = [m.start() for m in re.finditer(rf"fsync\(\d+<{spool}/new>\)", log)]
    last_read = max(m.start() for m in re.finditer(r"read\(0<[^\n]*\) += 0\n", log))
    t.ok(done.returncode == 0 and len(renames) == 2 and last_read < renames[0] < syncs[0] < renames[1] < syncs[1],
         "a report of bad recipients is durable before the message, and neither before the end of input", log[-2000:])
    front.clear()
    done, log = strace(front, "-e", "trace=rename,renameat,renameat2", "-e", "inject=rename,renameat,renameat2:error=ENOSPC:when=2", args=("u@x.example", "b@@d"))
    t.equal((done.returncode, nothing(front)), (75, True), "and is withdrawn when the message does not go in")


# call, error, statuses
FAULTS = [
    ("write", "ENOSPC", {75, 0}), ("write", "EDQUOT", {75, 0}), ("write", "EIO", {75, 0}), ("write", "EINTR", {0}),
    ("fsync", "EIO", {75, 0}), ("fsync", "ENOSPC", {75, 0}), ("close", "EIO", {75, 0}),
    ("rename,renameat,renameat2", "ENOSPC", {75, 0}), ("rename,renameat,renameat2", "EROFS", {75, 0}), ("rename,renameat,renameat2", "EINVAL", {0}),
    ("openat", "EMFILE", {75, 0}), ("openat", "EIO", {75, 0}), ("read", "EIO", {74, 75, 0}), ("read", "EINTR", {0, 75}), ("getrandom", "ENOSYS", {75, 0}),
]


def faults(t, front):
    for call, error, statuses in FAULTS:
        seen, k, good = set(), 0, True
        while good and k < 60:
            k += 1
            done, log = strace(front, "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={k}")
            if "(INJECTED)" not in log:
                front.clear()
                break
            injected = next(line for line in log.splitlines() if "(INJECTED)" in line)
            if front.spool not in injected and "<pipe:" not in injected and call != "getrandom":
                front.clear()
                continue            # the loader, libc's files, the configuration: not of the spool
            seen.add(done.returncode)
            good = done.returncode in statuses and honest(front, done.returncode)
            front.clear()
        t.ok(good, f"{call.split(',')[0]} fails with {error} at each place: honest", injected if not good else "", done)
        t.ok(seen - {0} or statuses == {0} or error in ("EINTR", "ENOSYS"), f"{call.split(',')[0]} {error}: seen", seen)


def directory_sync(t, front):
    """The name was visible when its directory could not be synced: it goes again, and the sync is not asked twice."""
    done, log = strace(front, "-e", "trace=fsync,unlinkat", "-e", "inject=fsync:error=EIO:when=2")
    t.equal((done.returncode, nothing(front), len(re.findall(r"fsync\(", log))), (75, True, 2), "fsync of new/ fails: 75, nothing stays, not retried")
    front.clear()
    done, log = strace(front, "-e", "trace=fsync", "-e", "inject=fsync:error=EINVAL:when=2")
    t.equal((done.returncode, whole(front)), (0, True), "a file system whose directories cannot be synced is the one exception")
    front.clear()


def read_fails(t, front):
    for error, status in (("EIO", 74), ("EINTR", 0), ("EAGAIN", 0)):
        _, log = strace(front, "-e", "trace=read")
        reads = [i for i, line in enumerate([x for x in log.splitlines() if "read(" in x], 1) if "read(0<" in line]
        front.clear()
        for k in reads:
            done, log = strace(front, "-e", "trace=read", "-e", f"inject=read:error={error}:when={k}")
            t.ok(done.returncode == status and honest(front, status), f"read {reads.index(k) + 1} of stdin: {error}: {status}", done, log)
            front.clear()


def set_up(t, front):
    shutil.rmtree(front.path("new"))
    done = front.run("u@x.example", stdin=MAIL)
    t.ok(done.status == 75 and done.err.count("\n") == 1 and "/new" in done.err and os.listdir(front.path("tmp")) == [] or done.status == 0, "new/ is gone: made anew, or 75 and where", done)
    shutil.rmtree(front.dir)
    os.makedirs(front.dir)
    front.configure()
    done = front.run("u@x.example", stdin=MAIL)
    t.ok(done.status == 0 and whole(front) and stat.S_IMODE(os.stat(front.spool).st_mode) == 0o700, "a private spool that is not there is made", done)
    t.ok(done.err == f"sendmail: queued as {front.messages()[0].id}, but no spooler runs; start one with: {done.err.split(': ')[-1]}", "who never had a spooler is told", done)
    with open(front.path("lock"), "w"):
        pass
    os.utime(front.path("lock"), (time.time() - 90000,) * 2)
    t.ok("no spooler runs" in front.run("u@x.example", stdin=MAIL).err, "so is who had none for a day")
    os.utime(front.path("lock"))
    t.equal(front.run("u@x.example", stdin=MAIL).err, "", "a pass of today is enough")
    front.clear()
    os.unlink(front.path("wake"))
    os.mkfifo(front.path("wake"))
    reader = os.open(front.path("wake"), os.O_RDONLY | os.O_NONBLOCK)
    t.equal((front.run("u@x.example", stdin=MAIL).status, os.read(reader, 100)), (0, b"n\n"), "the spooler is told")
    front.run("-odq", "u@x.example", stdin=MAIL)
    t.equal(_read(reader), b"", "-odq tells nobody")
    t.equal((front.run("-q"), _read(reader)), ((0, "", ""), b"q\n"), "-q asks for a run")
    while True:
        try:
            os.write(reader, b"x")
        except OSError:
            break
    writer = os.open(front.path("wake"), os.O_WRONLY | os.O_NONBLOCK)
    try:
        while True:
            os.write(writer, b"n\n" * 1000)
    except BlockingIOError:
        pass
    t.equal(front.run("u@x.example", stdin=MAIL).status, 0, "a full FIFO hinders nobody")
    os.close(writer)
    os.close(reader)
    os.unlink(front.path("wake"))
    os.mkdir(front.path("wake"))
    t.equal(front.run("u@x.example", stdin=MAIL).status, 0, "nor does a wake that is none")
    os.rmdir(front.path("wake"))
    os.mkfifo(front.path("wake"))
    front.clear()
    os.chmod(front.conf, 0)
    done = front.run("u@x.example", stdin=MAIL)
    t.ok(done.status == (0 if os.geteuid() == 0 else 78), "a configuration that may not be read: 78", done)
    os.chmod(front.conf, 0o644)
    front.clear()


def _read(fd):
    try:
        return os.read(fd, 100)
    except BlockingIOError:
        return b""


# ---- the spooler it starts

SPOOLER = f"""#!{sys.executable}
import os, sys, time
fds = {{n: os.readlink("/proc/self/fd/" + n) for n in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + n)}}
with open(sys.argv[0] + ".new", "w") as f:
    f.write(repr((sys.argv[1:], os.getsid(0), os.getpid(), fds)))
os.rename(sys.argv[0] + ".new", sys.argv[0] + ".ran")
time.sleep(3)
"""


def starting(t, front):
    """With `spooler auto` the first mail starts one, detached: nobody who waits for our output waits for it."""
    home = os.path.join(front.dir, "home")
    os.mkdir(home)
    shutil.copy(program(), home)
    spooler, ran = os.path.join(home, "abided"), os.path.join(home, "abided.ran")
    with open(spooler, "w") as f:
        f.write(SPOOLER)
    os.chmod(spooler, 0o755)
    front.configure(spooler="auto")
    mine = os.path.join(home, "sendmail")
    begin = time.monotonic()
    extra = os.open("/dev/null", os.O_RDONLY)
    done = front.run("-i", "u@x.example", stdin=MAIL, program=mine, pass_fds=[extra])
    took = time.monotonic() - begin
    os.close(extra)
    t.ok(done == (0, "", "") and took < 2.5, "sendmail returns at once, silently", done, took)
    deadline = time.monotonic() + 10
    while not os.path.exists(ran) and time.monotonic() < deadline:
        time.sleep(0.02)
    with open(ran) as f:
        args, session, pid, fds = eval(f.read())
    t.equal(args, ["--until-empty", "-C", front.conf], "abided beside it was started")
    t.ok(session not in (pid, os.getsid(0)), "in a session of its own, which it does not lead", session, pid)
    t.equal(fds, {n: "/dev/null" for n in "012"}, "with no descriptor of ours")
    os.unlink(ran)
    front.run("-odq", "u@x.example", stdin=MAIL, program=mine)
    time.sleep(0.2)
    t.ok(not os.path.exists(ran), "-odq starts none")
    reader = os.open(front.path("wake"), os.O_RDONLY | os.O_NONBLOCK)
    front.run("u@x.example", stdin=MAIL, program=mine)
    time.sleep(0.2)
    t.ok(not os.path.exists(ran), "nor does mail where one listens")
    os.close(reader)
    done = front.run("-q", program=mine)
    with open(ran) as f:
        t.equal((done.status, eval(f.read())[0]), (0, ["--once", "-C", front.conf]), "-q without a spooler becomes one for one pass")
    front.configure()
    front.clear()


# ---- following

def following(t, front):
    """-v shows what the spooler writes into the trail; here the test is the spooler."""
    p = subprocess.Popen([program(), "-v", "-odb", "a@x.example", "b@y.example"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=front.env())
    reader = os.open(front.path("wake"), os.O_RDONLY | os.O_NONBLOCK)
    p.stdin.write(MAIL)
    p.stdin.close()
    deadline = time.monotonic() + 10
    while _read(reader) == b"" and time.monotonic() < deadline:
        time.sleep(0.01)
    [m] = front.messages()
    trail = front.path("trail", f"{m.id}.{os.getuid()}")
    with open(trail, "w") as f:
        f.write("1 said 0 220 mx ready\n1 said 0 EHLO \033[31mme\n")
        f.flush()
        time.sleep(0.1)
        f.write(f"2 delivered 1 mx.x 250 ok\n2 deferred 2 greylisted due=9 n=1 first=2 last=2 grey=2:1 host=mx.y 450 later\n")
    err = p.stderr.read().decode()
    t.equal((p.wait(20), err), (0, "220 mx ready\nEHLO ?[31mme\ndelivered <a@x.example> mx.x 250 ok\n"
                                   "deferred <b@y.example> greylisted: 450 later\n"
                                   f"{m.id} waits in the queue\n"), "-v shows the dialogue and each recipient's fate, until all have one")
    p.stderr.close()
    front.clear()
    os.unlink(trail)
    p = subprocess.Popen([program(), "-v", "a@x.example"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=front.env())
    p.stdin.write(MAIL)
    p.stdin.close()
    while _read(reader) == b"" and time.monotonic() < deadline:
        time.sleep(0.01)
    [m] = front.messages()
    front.clear()
    t.equal((p.stderr.read().decode(), p.wait(20)), (f"{m.id} settled\n", 0), "and until the message is gone")
    p.stderr.close()
    p = subprocess.Popen([program(), "-v", "a@x.example"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=front.env())
    p.stdin.write(MAIL)
    p.stdin.close()
    while _read(reader) == b"" and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    p.send_signal(signal.SIGINT)
    t.ok(re.fullmatch(r"\S+ is in the queue\n", p.stderr.read().decode()) and p.wait(20) == 0 and whole(front), "an interrupt ends only the watching")
    p.stderr.close()
    os.close(reader)
    front.clear()
    done = front.run("-v", "a@x.example", stdin=MAIL)
    t.ok(done.status == 0 and re.fullmatch(r"\S+ is queued; no spooler is delivering it now\n", done.err), "nobody to follow: said at once", done)
    front.clear()


# ---- set-group-ID

ABIDE, DROP, ANN, BOB = 54320, 54321, 54322, 54323


def privileged(t, spool, conf):
    """The shared spool with its modes, and users who have no right to it but through sendmail."""
    if SANITIZERS:
        return              # they cannot read their options in such a program
    if netns.uids() not in ("all", "range"):
        t.skip("set-group-ID", "needs several users")
        return
    shown = "/mnt"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "world", shown], check=True)
    os.makedirs(spool)
    for name, mode in (("tmp", 0o3773), ("new", 0o3777), ("cur", 0o2775), ("hold", 0o2775), ("dead", 0o2770), ("trail", 0o2770), ("sites", 0o2770)):
        os.mkdir(f"{spool}/{name}")
        os.chown(f"{spool}/{name}", ABIDE, ABIDE)
        os.chmod(f"{spool}/{name}", mode)
    os.mkfifo(f"{spool}/wake")
    with open(f"{spool}/lock", "w"):
        pass
    for name, group, mode in (("", DROP, 0o710), ("/wake", DROP, 0o620), ("/lock", ABIDE, 0o600)):
        os.chown(spool + name, ABIDE, group)
        os.chmod(spool + name, mode)
    front = f"{shown}/sendmail"
    shutil.copy(program(), front)
    os.chown(front, 0, DROP)
    os.chmod(front, 0o2755)

    def by(user, *args, stdin=MAIL, program=front, env=None, **more):
        done = subprocess.run([program, *args], input=stdin, capture_output=True, timeout=60, cwd="/", user=user, group=user, extra_groups=[],
                              env=env if env is not None else {}, **more)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def stored():
        return [Stored(os.path.join(spool, "new", name)) for name in sorted(os.listdir(os.path.join(spool, "new")))]

    t.equal(by(ANN, "-f", "ann@x.example", "u@x.example"), (0, "", ""), "a stranger submits through the set-group-ID program")
    [m] = stored()
    st = os.stat(m.path)
    t.equal((st.st_uid, st.st_gid, m.mode, m.user.split()[0], m.body), (ANN, ABIDE, 0o660, str(ANN), BODY), "the file is his, of the spool's group, mode 0660")
    t.ok("ann@x.example" in by(ANN, "-bp", stdin=b"")[1], "he sees his own")
    status, out, err = by(BOB, "-bp", stdin=b"")
    t.ok(status == 0 and m.id in out and "<hidden>" in out and "example" not in out, "others see that there is something", out, err)
    t.ok("ann@x.example" in by(ABIDE, "-bp", stdin=b"")[1], "the spool's owner sees all")
    for name, act in [("read", lambda p: open(p).close()), ("unlink", os.unlink), ("rename", lambda p: os.rename(p, p + "x")), ("link", lambda p: os.link(p, f"{spool}/new/x"))]:
        pid = os.fork()
        if pid == 0:
            os.setgroups([]), os.setresgid(DROP, DROP, DROP), os.setresuid(BOB, BOB, BOB)
            try:
                act(m.path)
            except PermissionError:
                os._exit(0)
            os._exit(1)
        t.equal(os.waitpid(pid, 0)[1], 0, f"not even a taken-over front may {name} another's mail")

    other = os.path.join(shown, "other")
    os.mkdir(other)
    with open(f"{other}/abide.conf", "w") as f:
        f.write(f"spool {other}/spool\nhostname evil.example\n")
    os.chmod(other, 0o777)
    t.equal(by(ANN, "-C", f"{other}/abide.conf", "u@x.example"), (77, "", f"sendmail: -C is not allowed for uid {ANN}\n"), "-C is refused to him")
    t.equal(by(ANN, "-C", "/etc/shadow", "u@x.example")[0], 77, "nothing of a secret file is shown")
    status, out, err = by(ANN, "-bV", stdin=b"", env={"ABIDE_CONF": f"{other}/abide.conf"})
    t.ok(status == 0 and other not in out and conf in out, "ABIDE_CONF is not looked at", out, err)
    t.equal(by(ABIDE, "-C", f"{other}/abide.conf", "-bV", stdin=b"")[0], 0, "the spool's owner may")
    t.equal(subprocess.run([front, "-C", f"{other}/abide.conf", "-bV"], capture_output=True, timeout=60).returncode, 0, "so may root")
    t.equal(by(ANN, "-q", stdin=b"")[0], 75, "he cannot run the queue himself")
    reader = os.open(f"{spool}/wake", os.O_RDONLY | os.O_NONBLOCK)
    t.equal((by(ANN, "-q", stdin=b"")[0], os.read(reader, 10)), (0, b"q\n"), "but ask the spooler to")
    os.close(reader)
    status, out, err = by(ANN, "-v", "u@x.example")
    t.ok(status == 0 and err.endswith("its delivery can only be shown to root and the owner of the spool\n"), "-v says that it may not be shown to him", err)
    plain = f"{shown}/plain"
    shutil.copy(program(), plain)
    for name, run in [("without the bit", lambda: by(ANN, "u@x.example", program=plain)),
                      ("with no_new_privs", lambda: by(ANN, "--no-new-privs", front, "u@x.example", program=shutil.which("setpriv")))]:
        status, out, err = run()
        t.ok(status == 75 and err.count("\n") == 1 and f"{spool}" in err and ("chgrp abide-drop" in err or "no_new_privs" in err), f"{name}: 75, and what mends it", err)
    before = len(stored())
    done = subprocess.run([front, "-C", f"{other}/abide.conf", "u@x.example"], input=MAIL, capture_output=True, timeout=60, user=ANN, group=ANN, extra_groups=[],
                          env={}, preexec_fn=lambda: os.close(2))
    t.equal((done.returncode, len(stored())), (77, before), "stderr closed: no word of it lands in a file")
    p = subprocess.Popen([front, "u@x.example"], stdin=subprocess.PIPE, user=ANN, group=ANN, extra_groups=[], env={}, cwd=other,
                         preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2))
    p.stdin.write(MAIL)
    p.stdin.flush()
    time.sleep(0.1)
    with open(f"/proc/{p.pid}/limits") as f:
        core = re.search(r"Max core file size\s+(\d+)", f.read())
    t.ok(core and core[1] == "0" and os.stat(f"/proc/{p.pid}/mem").st_uid == 0, "no core file, and its memory is not his to read")
    p.kill()
    p.communicate()


def cover_built_in():
    """The spool and the configuration that the program was built for; in this world they are empty, whatever goes wrong."""
    done = subprocess.run([program(), "-bV"], capture_output=True, text=True, env={}, timeout=60)
    conf = re.search(r"Configuration file is ([^\s,]+)", done.stdout)[1]
    prefix = os.path.dirname(os.path.dirname(conf))
    base = os.path.join("/var" if conf.startswith("/etc/") else prefix + "/var", "spool")
    if os.path.exists(conf):
        netns.cover(conf, "")
    if os.path.isdir(base):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "spool", base], check=True)
    return os.path.join(base, "abide"), conf


def main(t):
    with tempfile.TemporaryDirectory(dir=os.environ.get("ABIDE_TMP")) as tmp:
        os.chmod(tmp, 0o755)
        spool, conf = cover_built_in()
        front = Front(tmp)
        for part in (descriptors, limits, environment, signals, killed):
            part(t, front)
        if STRACE:
            for part in (order, faults, directory_sync, read_fails):
                part(t, front)
        else:
            t.skip("order of acts, faults of calls", "there is no strace")
        for part in (set_up, starting, following):
            part(t, front)
        privileged(t, spool, conf)


if __name__ == "__main__":
    netns.enter()
    tap.main(main)
