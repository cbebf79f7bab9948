"""Exim's own tools read our log and our queue: exigrep, eximstats, exiqgrep, exiqsumm, as Debian ships them."""
import os
import re
import subprocess
import sys

sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
from lib import netns, tap

from peers import fetch

fetch.prepare("exim")
netns.enter()
from lib.abide import Abide
from lib.smtpd import Smtpd
from peers.root import ENVIRONMENT, Root, Unavailable

RULES = [{"at": "rcpt", "rcpt": "dead@*", "reply": "550 5.1.1 no such user"}, {"at": "rcpt", "rcpt": "late@*", "reply": "450 4.2.1 come back later"}]
SENT = {                                # name: recipients; each gets its own ID
    "plain": ["a@one.test"],
    "two": ["b@one.test", "c@one.test"],
    "dead": ["dead@one.test"],
    "late": ["late@one.test"],
    "mixed": ["d@one.test", "late@one.test", "e@two.test"],
    "held": ["late@three.test"],
}


def tool(root, name, *arguments, stdin=subprocess.DEVNULL):
    done = subprocess.run(["chroot", root.path, f"/usr/sbin/{name}", *arguments], env=ENVIRONMENT, stdin=stdin, capture_output=True, text=True,
                          timeout=60)
    return done.stdout + done.stderr


def send(t, a):
    """{name: ID}"""
    ids = {}
    for name, recipients in SENT.items():
        seen = {line.id for line in a.log("<=")}
        r = a.submit("-i", "-f", "alice@home.test", *recipients)
        t.equal(r.status, 0, f"{name} is taken", r)
        a.wait_for(lambda: [line for line in a.log("<=") if line.id not in seen], 20)
        ids[name] = next(line.id for line in a.log("<=") if line.id not in seen)
        a.settle()
    r = a.tool("queue", "hold", ids["held"])
    t.equal(r.status, 0, "one is held", r)
    return ids


def exigrep(t, root, a, ids):
    for name, ident in ids.items():
        found = tool(root, "exigrep", ident, "/log/log")
        lines = [line for line in found.splitlines() if re.match(r"\d{4}-", line)]
        t.equal(lines, [line.raw for line in a.log(id=ident)], f"exigrep finds the whole story of {name}", found)
        completed = any(line.text == "Completed" for line in a.log(id=ident))
        t.equal("has not completed" in found, not completed, f"and whether it is over: {completed}", found)
    found = tool(root, "exigrep", "b@one.test", "/log/log")
    t.equal(set(re.findall(r"\w{6}-\w{6}-\w{2}", found)), {ids["two"]}, "by an address it finds the message, and no other", found)


def eximstats(t, root, a):
    found = tool(root, "eximstats", "/log/log")
    received, delivered = (re.search(rf"^  {word} +(\d+) +(\d+)(?: +(\d+))?", found, re.M) for word in ("Received", "Delivered"))
    volume = sum(int(line.fields["S"]) for line in a.log("<="))
    t.equal(received and (int(received[1]), int(received[2])), (volume, len(a.log("<="))), "eximstats counts what came in, and its bytes", found)
    t.equal(delivered and (int(delivered[2]), int(delivered[3])), (len(a.log("=>")), len(a.log("=>")) + len(a.log("->"))),
            "and what went out, to how many addresses", found)
    t.ok(re.search(r"^  Received .* 3 +\d+\.\d% +1 +\d+\.\d%$", found, re.M), "three messages were delayed, one failed", found)
    t.ok(re.search(r"^\s+\d+\s+\d+\s+\d+\s+\d+\s+127\.0\.0\.1$", found, re.M), "it knows the host", found)
    t.ok(re.search(r"^Errors encountered: 1$", found, re.M), "and the error", found)


def exiq(t, root, a, ids):
    listed = a.run("mailq").out.decode()
    root.write("queue", listed)
    root.write("exim", "#!/bin/sh\nexec cat /queue\n", mode=0o755)          # which exiqgrep runs with -bpu

    def exiqgrep(*arguments):
        return sorted(tool(root, "exiqgrep", "-E", "/exim", "-i", *arguments).split())
    t.equal(exiqgrep("-f", "alice@home.test"), sorted(ids[n] for n in ("late", "mixed", "held")), "exiqgrep finds by sender", listed)
    t.equal(exiqgrep("-r", "late@three.test"), [ids["held"]], "by recipient", listed)
    t.equal(exiqgrep("-z"), [ids["held"]], "what is frozen", listed)
    t.equal(exiqgrep("-x"), sorted(ids[n] for n in ("late", "mixed")), "what is not", listed)
    t.equal(exiqgrep("-o", "3600"), [], "by age: it reads the time from our IDs", listed)
    t.equal(len(exiqgrep("-y", "3600")), 3, "by youth", listed)
    with open(f"{root.path}/queue") as f:
        found = tool(root, "exiqsumm", stdin=f)
    count = {domain: int(n) for n, domain in re.findall(r"^ +(\d+) .* (\S+\.test|TOTAL) *$", found, re.M)}
    t.equal(count, {"one.test": 2, "three.test": 1, "TOTAL": 3}, "exiqsumm counts what waits by domain, without what was delivered", found, listed)


def main(t):
    root = Root("exim")
    try:
        with Smtpd(rules=RULES) as server, Abide({"relay": "127.0.0.1:%d" % server.port, "log_level": "info"}) as a:
            a.start()
            ids = send(t, a)
            root.share(a.top, "log")
            exigrep(t, root, a, ids)
            eximstats(t, root, a)
            exiq(t, root, a, ids)
            t.equal(a.stop(), 0, "abided ends well")
    finally:
        root.close()


def test(t):
    try:
        main(t)
    except Unavailable as e:
        t.skip("Exim's tools", e)


tap.main(test)
