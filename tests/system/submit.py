"""What sendmail makes of a call: envelope, header, body, exit status, words. Each message is looked at in the spool."""
import os
import pwd
import re
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from lib import tap
from lib.front import HOST, ID, Front, program

SANITIZERS = os.environ.get("ABIDE_SANITIZERS") == "1"
try:
    ME = pwd.getpwuid(os.getuid())
    LOGIN, GECOS = ME.pw_name, ME.pw_gecos.split(",")[0].replace("&", ME.pw_name.capitalize())
except KeyError:
    LOGIN, GECOS = f"uid{os.getuid()}", ""
OWN = f"{LOGIN}@{HOST}"
OWN_FROM = f"From: {GECOS} <{OWN}>\n" if re.fullmatch(r"[A-Za-z0-9]+( [A-Za-z0-9]+)*", GECOS) else None if GECOS else f"From: {OWN}\n"
ADDED = f"Date: *\n{OWN_FROM}Message-ID: *\n"
FULL = "Date: yesterday\nFrom: a@b.example\nMessage-ID: <m@b.example>\n"


def full(more="", body="body\n"):
    """A message that lacks nothing."""
    return (FULL + more + "\n" + body).encode("latin-1")


# name, arguments, stdin, recipients, sender, header (None: not looked at), body
MESSAGES = [
    ("a complete message stays as it is", ["u@x"], full("Subject:  a \n\tb\nX-Y:z\n"), ["u@x"], OWN, FULL + "Subject:  a \n\tb\nX-Y:z\n", "body\n"),
    ("Date, From, Message-ID are made", ["u@x"], b"Subject: s\n\nbody\n", ["u@x"], OWN, "Subject: s\n" + ADDED, "body\n"),
    ("empty ones too", ["u@x"], b"Date: \nFrom:\nMessage-ID:  \nSubject: s\n\nbody\n", ["u@x"], OWN, "Subject: s\n" + ADDED, "body\n"),
    ("empty input", ["u@x"], b"", ["u@x"], OWN, ADDED, ""),
    ("header only", ["u@x"], b"Subject: s", ["u@x"], OWN, "Subject: s\n" + ADDED, ""),
    ("body only", ["u@x"], b"just text\nSubject: no\n", ["u@x"], OWN, ADDED, "just text\nSubject: no\n"),
    ("garbage within the header begins the body", ["u@x"], b"Subject: s\nthis is not a header\nTo: no@x\n\nb\n", ["u@x"], OWN,
     "Subject: s\n" + ADDED, "this is not a header\nTo: no@x\n\nb\n"),
    ("a blank before the colon", ["-t"], full("To : t@x\n"), ["t@x"], OWN, FULL + "To: t@x\n", "body\n"),
    ("no final newline", ["u@x"], full(body="abc"), ["u@x"], OWN, FULL, "abc\n"),
    ("CRLF", ["u@x"], full("Subject: s\n", "b\n.x\n").replace(b"\n", b"\r\n"), ["u@x"], OWN, FULL + "Subject: s\n", "b\n.x\n"),
    ("CRLF header, LF body", ["u@x"], full("Subject: s\n", "").replace(b"\n", b"\r\n") + b"b\nc\n", ["u@x"], OWN, FULL + "Subject: s\n", "b\nc\n"),
    ("CRCRLF", ["u@x"], full(body="b\n").replace(b"\n", b"\r\r\n"), ["u@x"], OWN, FULL, "b\n"),
    ("a bare CR makes no header line", ["-t"], full("Subject: a\rBcc: z@x\nTo: t@x\n"), ["t@x"], OWN, FULL + "Subject: a Bcc: z@x\nTo: t@x\n", "body\n"),
    ("a bare CR in the body ends a line", ["u@x"], full(body="a\rb\n"), ["u@x"], OWN, FULL, "a\nb\n"),
    ("NUL: gone from the header, kept in the body", ["u@x"], full("Sub\0ject: s\0\n", "a\0b\n"), ["u@x"], OWN, FULL + "Subject: s\n", "a\0b\n"),
    ("8 bit stays", ["u@x"], full("Subject: \xe4\xff\n", "\xfc\n"), ["u@x"], OWN, FULL + "Subject: \xe4\xff\n", "\xfc\n"),
    ("From_ lines are dropped", ["u@x"], b"From ann Sat Nov 21\r\n>From bob\n" + full(body="From here\n"), ["u@x"], OWN, FULL, "From here\n"),
    ("long lines stay", ["u@x"], full("X: " + "y" * 2000 + "\n", "z" * 5000 + "\n"), ["u@x"], OWN, FULL + "X: " + "y" * 2000 + "\n", "z" * 5000 + "\n"),

    ("a lone dot ends it", ["u@x"], full(body="a\n.\nb\n"), ["u@x"], OWN, FULL, "a\n"),
    ("with CRLF too", ["u@x"], full(body="a\n.\nb\n").replace(b"\n", b"\r\n"), ["u@x"], OWN, FULL, "a\n"),
    ("not between CRs", ["u@x"], full(body="a\r.\rb\n"), ["u@x"], OWN, FULL, "a\n.\nb\n"),
    ("not with -i", ["-i", "u@x"], full(body="a\n.\nb\n"), ["u@x"], OWN, FULL, "a\n.\nb\n"),
    ("not with -oi", ["-oi", "u@x"], full(body="a\n.\nb\n"), ["u@x"], OWN, FULL, "a\n.\nb\n"),
    ("dots are left alone", ["u@x"], full(body="..\n.a\n...\n"), ["u@x"], OWN, FULL, "..\n.a\n...\n"),

    ("-t", ["-t"], full("To: t@x\nCc: c@x\nBcc: b@x\n"), ["t@x", "c@x", "b@x"], OWN, FULL + "To: t@x\nCc: c@x\n", "body\n"),
    ("-ti with an argument adds", ["-ti", "z@x"], full("To: t@x\n"), ["z@x", "t@x"], OWN, FULL + "To: t@x\n", "body\n"),
    ("Bcc goes without -t too", ["u@x"], full("Bcc: b@x,\n c@x\n"), ["u@x"], OWN, FULL, "body\n"),
    ("Bcc only, nothing is made up", ["-t"], full("Bcc: b@x\n"), ["b@x"], OWN, FULL, "body\n"),
    ("folded To", ["-t"], full("To: a@x,\n\tb@x\n , c@x\n"), ["a@x", "b@x", "c@x"], OWN, None, "body\n"),
    ("groups, comments, routes, quotes", ["-t"], full('To: Team: a@x (Joe, Esq.), "B, C" <b@x>;, <@r.example:c@x>, "d e"@x\n'),
     ["a@x", "b@x", "c@x", '"d e"@x'], OWN, None, "body\n"),
    ("an empty group", ["-t"], full("To: undisclosed-recipients:;\nCc: a@x\n"), ["a@x"], OWN, None, "body\n"),
    ("semicolons and blanks", ["-t"], full("To: a@x; b@x c@x\n"), ["a@x", "b@x", "c@x"], OWN, None, "body\n"),
    ("duplicates", ["-t", "a@x", "A@x"], full("To: a@X\nCc: a@x\n"), ["a@x", "A@x"], OWN, None, "body\n"),
    ("resent", ["-t"], full("To: no@x\nResent-To: r@x\nResent-Bcc: s@x\n"), ["r@x", "s@x"], OWN,
     f"Resent-Date: *\nResent-{OWN_FROM}Resent-Message-ID: *\n" + FULL + "To: no@x\nResent-To: r@x\n", "body\n"),
    ("bare names, a final dot, a literal", ["root", "u@X.Example.", "v@[127.0.0.1]"], full(), [f"root@{HOST}", "u@x.example", "v@[127.0.0.1]"], OWN, FULL, "body\n"),
    ("what looks like a program or a file is a name", ["|cmd", "/file"], full(), [f"|cmd@{HOST}", f"/file@{HOST}"], OWN, FULL, "body\n"),
    ("a list as an argument", ["a@x,b@x", "Joe <c@x>"], full(), ["a@x", "b@x", "c@x"], OWN, FULL, "body\n"),
    ("-- and a hyphen", ["-i", "--", "-u@x"], full(), ["-u@x"], OWN, FULL, "body\n"),
    ("options behind recipients", ["u@x", "-f", "s@y", "-i"], full(body=".\n"), ["u@x"], "s@y", FULL, ".\n"),
    ("an empty argument among others", ["", "u@x"], full(), ["u@x"], OWN, FULL, "body\n"),

    ("-f", ["-fs@y.example", "u@x"], b"Subject: s\n\nb\n", ["u@x"], "s@y.example", "Subject: s\nDate: *\nFrom: s@y.example\nMessage-ID: *\n", "b\n"),
    ("-f, unqualified", ["-f", "fail2ban", "root"], full(), [f"root@{HOST}"], f"fail2ban@{HOST}", FULL, "body\n"),
    ("-f with a name and a comment", ["-f", "<s@y> (c)", "u@x"], full(), ["u@x"], "s@y", FULL, "body\n"),
    ("-f with a display name", ["-f", '"S, T" <s@y>', "u@x"], full(), ["u@x"], "s@y", FULL, "body\n"),
    ("-f '<>': From is the caller's", ["-f", "<>", "u@x"], b"\nb\n", ["u@x"], "", ADDED, "b\n"),
    ("-f ''", ["-f", "", "u@x"], b"\nb\n", ["u@x"], "", ADDED, "b\n"),
    ("-f '< >'", ["-f", "< >", "u@x"], b"\nb\n", ["u@x"], "", ADDED, "b\n"),
    ("-f twice", ["-f", "a@y", "-r", "b@y", "u@x"], full(), ["u@x"], "b@y", FULL, "body\n"),
    ("-F", ["-FCron Daemon", "u@x"], b"\nb\n", ["u@x"], OWN, f"Date: *\nFrom: Cron Daemon <{OWN}>\nMessage-ID: *\n", "b\n"),
    ("-F with specials", ["-F", 'Joe, "X" (y)', "u@x"], b"\nb\n", ["u@x"], OWN, f'Date: *\nFrom: "Joe, \\"X\\" (y)" <{OWN}>\nMessage-ID: *\n', "b\n"),
    ("-F with a newline", ["-F", "Joe\nBcc: evil@x", "u@x"], b"\nb\n", ["u@x"], OWN, f'Date: *\nFrom: "Joe Bcc: evil@x" <{OWN}>\nMessage-ID: *\n', "b\n"),
    ("-F does not replace a From", ["-F", "Joe", "u@x"], full(), ["u@x"], OWN, FULL, "body\n"),
    ("Return-Path and Content-Length go", ["u@x"], b"Return-Path: <evil@x>\nContent-Length: 3\n" + full("Status: RO\n"), ["u@x"], OWN, FULL + "Status: RO\n", "body\n"),
    ("cron's call", ["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "t@x"], b"From: root (Cron Daemon)\nTo: t@x\nSubject: s\n\nout\n", ["t@x"], OWN,
     "From: root (Cron Daemon)\nTo: t@x\nSubject: s\nDate: *\nMessage-ID: *\n", "out\n"),
    ("mutt's call", ["-oem", "-oi", "-f", "me@y", "--", "t@x", "c@x"], full("To: t@x\nCc: c@x\n"), ["t@x", "c@x"], "me@y", FULL + "To: t@x\nCc: c@x\n", "body\n"),
]

# name, arguments, stdin, status, stderr
REFUSED = [
    ("no recipients", [], full(), 64, "sendmail: no recipients\n"),
    ("-t without", ["-t"], full(), 64, "sendmail: no recipients\n"),
    ("an empty argument", [""], full(), 64, "sendmail: no recipients\n"),
    ("resent to nobody", ["-t"], full("To: a@x\nResent-From: r@x\n"), 65, "sendmail: no recipients in Resent- fields\n"),
    ("all bad", ["a@@x", "b@@x"], full(), 65, "sendmail: bad recipient address: a@@x\n"),
    ("include", [":include:/etc/passwd"], full(), 65, "sendmail: bad recipient address: :include:/etc/passwd\n"),
    ("a newline in a recipient", ["a@x", "b@x\nto <c@x>"], full(), 65, 'sendmail: a control byte in the recipient "b@x?to <c@x>"\n'),
    ("a CR in -f", ["-f", "s@y\rx", "u@x"], full(), 64, None),
    ("a newline in -f", ["-f", "s@y>\nto <e@x", "u@x"], full(), 64, None),
    ("a newline behind -f", ["-f", "s@y\n", "u@x"], full(), 64, None),
    ("two addresses in -f", ["-f", "a@y b@y", "u@x"], full(), 64, None),
    ("two addresses in -f, with a comma", ["-f", "a@y, b@y", "u@x"], full(), 64, None),
    ("an address of 100 kB", ["a" * 100000 + "@x"], full(), 65, None),
    ("-f of 100 kB", ["-f", "a" * 100000 + "@x", "u@x"], full(), 64, None),
    ("unknown option", ["-Z", "u@x"], full(), 64, "sendmail: unknown option -Z\n"),
    ("unknown long option", ["--zap", "u@x"], full(), 64, "sendmail: unknown option --zap\n"),
    ("-N is not done yet", ["-N", "never", "u@x"], full(), 64, "sendmail: -N is not supported\n"),
    ("-bs is not done yet", ["-bs"], b"", 64, "sendmail: -bs is not supported\n"),
    ("-h needs a number", ["-h", "x", "u@x"], full(), 64, 'sendmail: -h takes a number of hops, not "x"\n'),
    ("a configuration file that is not there", ["-C", "/nonexistent/abide.conf", "u@x"], full(), 66,
     "sendmail: there is no configuration file /nonexistent/abide.conf\n"),
    ("a mail loop", ["u@x"], b"Received: x\n" * 101 + full(), 65, "sendmail: a mail loop: the message came through 101 servers\n"),
    ("a mail loop with -h", ["-h", "100", "u@x"], b"Received: x\n" + full(), 65, "sendmail: a mail loop: the message came through 101 servers\n"),
    ("a header of more than a megabyte", ["u@x"], b"X: y\n" * 210000 + full(), 65, "sendmail: the header is longer than 1048576 bytes\n"),
    ("-q with an argument", ["-q", "u@x"], b"", 64, "sendmail: -q takes no arguments\n"),
]


def messages(t, front):
    for name, args, stdin, to, sender, header, body in MESSAGES:
        done = front.run(*args, stdin=stdin)
        stored = front.messages()
        good = t.equal((*done, len(stored), front.left_in_tmp()), (0, "", "", 1, []), f"{name}: queued, silently")
        if good:
            m = stored[0]
            want = (to, sender, header if header is not None and (OWN_FROM or "From: None" not in header) else m.header, body)
            t.equal((m.to, m.sender, m.header, m.body.decode("latin-1")), want, f"{name}: envelope, header, body", m.text)
            t.equal((m.version, m.sizes, m.mode), ("abide 1", m.true_sizes(), 0o660), f"{name}: sizes and mode")
        front.clear()


def refused(t, front):
    for name, args, stdin, status, err in REFUSED:
        done = front.run(*args, stdin=stdin)
        t.ok((done.status, done.out, front.messages(), front.left_in_tmp()) == (status, "", [], []) and
             done.err == (err or done.err) and re.fullmatch(r"sendmail: [^\n]{1,600}\n", done.err), f"{name}: {status}, one line, nothing queued", done)
        front.clear()


def received(t, front):
    def of(*args, stdin=full()):
        front.run(*args, stdin=stdin)
        [m] = front.messages()
        front.clear()
        return m

    m = of("u@x")
    t.ok(re.match(rf"Received: from {LOGIN} \(uid {os.getuid()}\)\n\tby {HOST} \(abide [0-9.]+\) id {m.id}\n\tfor <u@x>;\n\t", m.text.decode()),
         "Received names caller, host, version, ID and the only recipient", m.text)
    t.ok(b"for <" not in of("u@x", "v@x").text, "no recipient of several")
    t.ok(b"for <" not in of("-t", stdin=full("Bcc: b@x\n")).text, "no blind recipient")
    t.equal(of("u@x", stdin=b"Received: a\nreceived: b\n" + full()).loop, 2, "Received fields are counted in the envelope")
    t.equal(of("-h", "7", "u@x").loop, 7, "-h starts the count")
    t.equal((of("-v", "u@x").say, of("u@x").say), (True, False), "-v asks for the dialogue")
    t.equal(of("u@x").user, f"{os.getuid()} {LOGIN} local", "the envelope names the caller")


def bad_among_good(t, front):
    done = front.run("a@x", "b@@x", "-t", "-f", "s@y", stdin=full("To: @@c, d@x\nBcc: secret@x\n"))
    stored = front.messages()
    report = next((m for m in stored if m.sender == ""), None)
    message = next((m for m in stored if m.sender == "s@y"), None)
    t.equal((*done, len(stored)), (0, "", "", 2), "bad recipients among good ones: exit 0, two messages")
    if report and message:
        t.equal(message.to, ["a@x", "d@x", "secret@x"], "the good ones get it")
        t.equal(report.to, ["s@y"], "the sender is told")
        t.ok(re.search(rb"(?s)multipart/report; report-type=delivery-status;.*\nFinal-Recipient: rfc822; b@@x\nAction: failed\nStatus: 5.1.3\n"
                       rb"\nFinal-Recipient: rfc822; @@c\nAction: failed\nStatus: 5.1.3\n.*\nTo: @@c, d@x\n", report.text), "by a report of RFC 3464", report.text)
        t.ok(b"secret" not in report.text, "which names no blind recipient")
        t.equal(report.sizes, report.true_sizes(), "its sizes are true")
    front.clear()
    done = front.run("a@x", "b@@x", "-f", "<>", stdin=full())
    t.equal((done, [m.to for m in front.messages()]), ((0, "", "sendmail: queued, but not for b@@x (nobody to tell: the sender is <>)\n"), [["a@x"]]),
            "with a null sender the caller is told instead")
    front.clear()


def configured(t, front):
    front.configure("root admin@example.com", "domain dom.example")
    front.run("root", f"bob@{HOST}", "ann@localhost", "c@x", stdin=full())
    t.equal([m.to for m in front.messages()], [["admin@example.com", "c@x"]], "root gets all local mail")
    front.clear()
    front.configure("domain dom.example")
    front.run("bob", stdin=b"\nb\n")
    [m] = front.messages()
    t.equal((m.to, m.sender), (["bob@dom.example"], f"{LOGIN}@dom.example"), "domain completes names")
    front.clear()
    front.configure("max_size 1000")
    done = front.run("u@x", stdin=b"\n" + b"x" * 300000)
    t.equal((done, front.messages(), front.left_in_tmp()), ((65, "", "sendmail: the message has 300001 bytes, more than max_size allows (1000)\n"), [], []),
            "max_size: refused with the figures")
    t.equal(front.run("u@x", stdin=b"\n" + b"x" * 999).status, 0, "as many as max_size pass")
    front.clear()
    front.configure("max_recipients 2")
    done = front.run("a@x", "b@x", "c@x", stdin=full())
    t.equal((done.status, done.err, front.messages()), (65, "sendmail: more than 2 recipients (max_recipients)\n", []), "max_recipients")
    front.configure("nonsense here")
    done = front.run("u@x", stdin=full())
    t.equal((*done, len(front.messages())), (0, "", "", 1), "a mistake in the configuration refuses no mail")
    front.clear()
    front.configure("min_free 1000000G")
    done = front.run("u@x", stdin=full())
    t.ok(done.status == 75 and "min_free" in done.err and not front.messages() and not front.left_in_tmp(), "a disk too full: 75", done)
    front.configure()


def subtracting(t, front):
    exim = os.path.join(front.dir, "exim")
    os.symlink(program(), exim)
    front.run("-t", "a@x", stdin=full("To: a@x, b@x\n"), program=exim)
    t.equal([m.to for m in front.messages()], [["b@x"]], "called exim, -t with arguments takes them away")
    front.clear()


def drained(t, front):
    """The writer of a refused message is not killed by SIGPIPE, and learns why."""
    for name, args, status in [("unknown option", ["-Z"], 64), ("no recipients", [], 64), ("bad -f", ["-f", "a b", "u@x"], 64),
                               ("no such file", ["-C", "/nonexistent", "u@x"], 66), ("a mail loop", ["-h", "101", "u@x"], 65),
                               ("behind the dot", ["u@x"], 0)]:
        p = subprocess.Popen([program(), *args], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=front.env())
        p.stdin.write(b"Subject: s\n\nx\n.\n")
        p.stdin.flush()
        time.sleep(0.05)
        wrote = 0
        try:
            for _ in range(40):
                wrote += p.stdin.write(b"x" * 65536)
                p.stdin.flush()
            p.stdin.close()
        except BrokenPipeError:
            pass
        t.equal((wrote, p.wait(60)), (40 * 65536, status), f"stdin is read to its end: {name}")
        p.stderr.close()
        front.clear()


def patient(t, front):
    """Input that comes in pieces, on a descriptor that does not block."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    p = subprocess.Popen([program(), "-t"], stdin=theirs, env=front.env())
    theirs.close()
    for piece in (b"To: u", b"@x\nSub", b"ject: s\n\nbo", b"dy\n"):
        time.sleep(0.03)
        ours.sendall(piece)
    time.sleep(0.03)
    t.equal(p.poll(), None, "a non-blocking stdin is waited for")
    ours.close()
    t.equal((p.wait(20), [(m.to, m.body) for m in front.messages()]), (0, [(["u@x"], b"body\n")]), "and taken whole")
    front.clear()


def peak_rss(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmHWM:\s+(\d+) kB", f.read())[1])


def large(t, front):
    lines = b"".join(b"%06d %s\n" % (i, b"0123456789abcdef" * 4) for i in range(1000))
    size = 25 * 1024 * 1024 // len(lines)
    for name, args, convert in [("LF", ["-i", "u@x"], lambda b: b), ("CRLF", ["u@x"], lambda b: b.replace(b"\n", b"\r\n")), ("one line", ["u@x"], lambda b: b.replace(b"\n", b" "))]:
        p = subprocess.Popen([program(), *args], stdin=subprocess.PIPE, env=front.env())
        p.stdin.write(b"Subject: s\n\n")
        piece = convert(lines)
        for _ in range(size):
            p.stdin.write(piece)
        p.stdin.flush()
        rss = peak_rss(p.pid)
        p.stdin.close()
        status = p.wait(60)
        [m] = front.messages() or [None]
        want = convert(lines).replace(b"\r\n", b"\n") * size + (b"" if name != "one line" else b"\n")
        t.ok(status == 0 and m and m.body == want and m.sizes == m.true_sizes(), f"25 MB, {name}: whole, its sizes true")
        t.ok(SANITIZERS or rss < 3000, f"25 MB, {name}: memory is constant", f"{rss} kB")
        front.clear()


def many(t, front):
    front.configure("max_recipients 100000")
    names = [f"{i:x}@x" for i in range(100000)]
    for name, args, stdin in [("-t", ["-t"], ("To: " + ",\n ".join(names) + "\n\nb\n").encode()),
                              ("-t, one line, blanks", ["-t"], ("To: " + " ".join(names) + "\n\nb\n").encode()),
                              ("arguments", [",".join(names[i:i + 10000]) for i in range(0, 100000, 10000)], b"\nb\n")]:
        begin = time.monotonic()
        done = front.run(*args, stdin=stdin)
        took = time.monotonic() - begin
        t.equal((done, [m.to == names for m in front.messages()]), ((0, "", ""), [True]), f"100,000 recipients by {name}")
        t.ok(took < (30 if SANITIZERS else 3), f"100,000 recipients by {name}: in time", f"{took:.2f} s")
        front.clear()
    front.configure()


def parallel(t, front):
    """Eight at a time; every one is there, under an ID of its own."""
    running, ids = [], set()
    for i in range(200):
        p = subprocess.Popen([program(), "-i", f"u{i}@x"], stdin=subprocess.PIPE, env=front.env())
        p.stdin.write(full(body=f"{i}\n"))
        p.stdin.close()
        running.append(p)
        if len(running) == 8:
            t.equal(running.pop(0).wait(60), 0, "200 submissions") if i == 199 else running.pop(0).wait(60)
    status = {p.wait(60) for p in running}
    stored = front.messages()
    ids = {m.id for m in stored}
    t.equal((status, len(ids), sorted((m.to[0], m.body) for m in stored)),
            ({0}, 200, sorted((f"u{i}@x", f"{i}\n".encode()) for i in range(200))), "200 submissions, eight at a time, are all there")
    front.clear()


def listing(t, front):
    t.equal(front.run("-bp"), (0, "", ""), "mailq of an empty queue prints nothing")
    for i in range(3):
        front.run("-f", ["s@y", "<>", "s@y"][i], f"u{i}@x", "v@x", stdin=full())
    hold = front.path("hold", "x")
    os.mkdir(hold)
    last = front.messages()[-1]
    os.rename(last.path, os.path.join(hold, f"{int(time.time())}.{last.id}.haaa"))
    mailq = os.path.join(front.dir, "mailq")
    os.symlink(program(), mailq)
    done = front.run(program=mailq)
    blocks = done.out.split("\n\n")
    t.ok(done.status == 0 and done.err == "" and len(blocks) == 4 and blocks[3] == "", "mailq lists three messages", done)
    for block in blocks[:3]:
        first, *rest = block.split("\n")
        t.ok(re.fullmatch(rf"\s*(\w+)\s+((?:\d+(?:\.\d+)?[A-Z]?)?)\s*({ID})\s(<.*?>)( \*\*\* frozen \*\*\*)?", first) and
             re.fullmatch(r" {10}u\d@x\n {10}v@x", "\n".join(rest)), "in Exim's form", block)
    t.equal([("frozen" in block) for block in blocks[:3]], [False, False, True], "held mail is frozen")
    t.equal(front.run("-bp", last.id).out.count("\n\n"), 1, "one message by its ID")
    t.equal(front.run("-bp", "nonsense"), (64, "", "sendmail: malformed message id nonsense\n"), "no ID")
    with open("/dev/full", "w") as full_device:
        p = subprocess.run([program(), "-bp"], stdout=full_device, stderr=subprocess.PIPE, env=front.env(), timeout=60)
    t.equal((p.returncode, p.stderr), (74, b"sendmail: write the list: No space left on device\n"), "a list that cannot be written: 74")
    reader, writer = os.pipe()
    os.close(reader)
    p = subprocess.run([program(), "-bp"], stdout=writer, stderr=subprocess.PIPE, env=front.env(), timeout=60)
    os.close(writer)
    t.equal((p.returncode, p.stderr), (0, b""), "nobody reading on is no error")
    front.clear()


def small_modes(t, front):
    done = front.run("--help")
    t.ok(done.status == 0 and done.out.startswith("usage: sendmail ") and done.err == "", "--help", done)
    done = front.run("-bV")
    t.ok(done.status == 0 and re.match(rf"abide sendmail \S+ \(Exim-compatible\)\nConfiguration file is {front.conf}\n\Z", done.out), "-bV", done)
    front.configure("nonsense here")
    done = front.run("--version")
    t.ok(done.status == 78 and done.out.startswith("abide sendmail ") and f"{front.conf}:4" in done.err, "-bV with a broken file: 78 and where", done)
    front.configure()
    newaliases = os.path.join(front.dir, "newaliases")
    os.symlink(program(), newaliases)
    t.equal(front.run(program=newaliases), (0, "newaliases: there is no alias database to build\n", ""), "newaliases")


def main(t):
    with tempfile.TemporaryDirectory(dir=os.environ.get("ABIDE_TMP")) as tmp:
        os.chmod(tmp, 0o755)
        front = Front(tmp)
        for part in (messages, refused, received, bad_among_good, configured, subtracting, drained, patient, large, many, parallel, listing, small_modes):
            part(t, front)


if __name__ == "__main__":
    tap.main(main)
