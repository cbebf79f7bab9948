"""The spooler as a service: how it stops, how it hears of another configuration, who may work on a spool."""
import os
import signal
import subprocess
import sys
import time

sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
from lib import tap
from lib.abide import Abide
from lib.smtpd import Smtpd

NOTICE = 5                  # seconds between two looks at the configuration file
BOUND = 10                  # seconds a final phase may take when it is told to stop


def submit(abide, rcpt):
    r = abide.submit("-f", "a@client.test", rcpt, data=f"Subject: {rcpt}\n\nhello\n".encode())
    assert r.status == 0, r


def seconds(act):
    before = time.monotonic()
    value = act()
    return value, time.monotonic() - before


def arrived(server):
    return sorted(r for m in server.record.messages() for r in m.recipients)


def said(abide, words):
    return [line for line in abide.log() if words in line.text]


# ---- stopping

def stops(t):
    for number in (signal.SIGTERM, signal.SIGINT):
        with Abide({"relay": "127.0.0.1:1"}) as abide:
            abide.start()
            status, took = seconds(lambda: abide.stop(number=number))
            t.ok((status, took < 2) == (0, True), f"{number.name} with nothing to do: exit 0, at once", status, took)
            t.equal(abide.processes(), {}, f"{number.name}: nobody stays behind")


def busy(t):
    """Somebody writes into `wake` without an end: signals are heard all the same."""
    with Abide({"relay": "127.0.0.1:1"}) as abide:
        abide.start()
        with open(os.path.join(abide.spool.path, "wake"), "wb") as wake:
            pests = [subprocess.Popen(["yes", "c x.test"], stdout=wake) for _ in range(8)]
            try:
                time.sleep(0.3)
                abide.daemon.send_signal(signal.SIGHUP)
                abide.wait_for(lambda: said(abide, "read anew"), 10, "the word that it was read")
                status, took = seconds(lambda: abide.stop(20))
                t.ok((status, took < 5) == (0, True), "there is always something to read: SIGHUP and SIGTERM are heard", status, took)
            finally:
                for pest in pests:
                    pest.kill()
                    pest.wait()


def final_phase(t):
    """Three messages: one whose dot is not yet answered, one in the middle, and one behind that must not start."""
    rules = [{"at": "dot", "rcpt": "last@*", "hold": 2.0}, {"at": "rcpt", "rcpt": "middle@*", "delay": 4.0, "reply": "250 ok"}]
    with Smtpd(rules=rules) as server, Abide({"relay": f"127.0.0.1:{server.port}"}) as abide:
        abide.start()
        submit(abide, "last@x.test")
        server.record.wait_messages(1, 10)
        submit(abide, "middle@x.test")
        server.record.wait(lambda r: [c for c in r.commands() if "middle@" in c], 10)
        status, took = seconds(abide.stop)
        t.equal(status, 0, "told to stop while a message is not yet answered: exit 0")
        t.ok(1 < took < 4, "... after that answer, without waiting for what had not come so far", took)
        t.equal((len(abide.log("=>")), len(abide.log("Completed"))), (1, 1), "... which is recorded", abide.log_tail)
        t.equal([w.id for w in abide.spool.cur()], sorted(abide.spool.ids()), "the other waits in the queue")
        t.equal((len(abide.spool.ids()), abide.processes()), (1, {}), "... alone, and no process is left")
        t.ok(all(w.due <= time.time() for w in abide.spool.cur()), "... for no later time than before", abide.spool.cur())
        server.set(rules=[])
        abide.start()
        abide.wait_for(abide.spool.empty, 20, "the second delivery")
        t.equal(arrived(server), ["last@x.test", "middle@x.test"], "after a restart each has arrived once")
        t.equal(server.record.violations(), [], "and the server was treated well")
        t.equal(abide.stop(), 0, "exit 0 again")


def bounded(t):
    with Smtpd(rules=[{"at": "dot", "times": 1, "do": "hang"}]) as server, Abide({"relay": f"127.0.0.1:{server.port}"}) as abide:
        abide.start()
        submit(abide, "never@x.test")
        server.record.wait(lambda r: r.find("refused"), 10)
        status, took = seconds(abide.stop)
        t.equal(status, 0, "the server never answers the dot: exit 0 nevertheless")
        t.ok(BOUND - 1 < took < BOUND + 3, f"... after {BOUND} s", took)
        t.equal(len(abide.spool.ids()), 1, "the message stays")
        abide.start()
        abide.wait_for(lambda: server.record.messages() or abide.log("=="), 20, "the next attempt")
        t.equal((arrived(server), abide.log("**")), (["never@x.test"], []), "and leaves with the next spooler")
        abide.wait_for(abide.spool.empty, 20, "the record")
        abide.stop()


# ---- another configuration

def reload(t):
    with Smtpd() as one, Smtpd() as two, Abide({"relay": f"127.0.0.1:{one.port}"}) as abide:
        abide.start()
        pid = abide.daemon.pid
        submit(abide, "1@x.test")
        one.record.wait_messages(1, 10)
        abide.configure(relay=f"127.0.0.1:{two.port}")
        abide.daemon.send_signal(signal.SIGHUP)
        abide.wait_for(lambda: said(abide, "read anew"), 10, "the word that it was read")
        submit(abide, "2@x.test")
        two.record.wait_messages(1, 10)
        t.equal((arrived(one), arrived(two)), (["1@x.test"], ["2@x.test"]), "SIGHUP: the next message goes to the new relay")

        time.sleep(NOTICE)
        abide.configure(relay=f"127.0.0.1:{one.port}")
        submit(abide, "3@x.test")
        one.record.wait_messages(2, 10)
        t.equal((arrived(one), arrived(two)), (["1@x.test", "3@x.test"], ["2@x.test"]), "a changed file is noticed without a signal")

        abide.configure(relai=f"127.0.0.1:{two.port}", relay=f"127.0.0.1:{two.port}")
        abide.daemon.send_signal(signal.SIGHUP)
        abide.wait_for(lambda: said(abide, "stays in force"), 10, "the word about the mistake")
        words = said(abide, "stays in force")[-1].text
        t.ok("abide.conf:" in words and "relai" in words and "relay" in words, "a mistake: file, line, name and the name meant are told", words)
        submit(abide, "4@x.test")
        one.record.wait_messages(3, 10)
        t.equal((len(arrived(one)), len(arrived(two))), (3, 1), "... and the last good configuration holds")

        os.unlink(abide.conf)
        abide.daemon.send_signal(signal.SIGHUP)
        abide.wait_for(lambda: said(abide, "it is gone"), 10, "the word about the file")
        t.ok("stays in force" in said(abide, "it is gone")[-1].text, "a file that is gone is a mistake too, not a way straight to MX")
        t.equal((abide.daemon.poll(), abide.daemon.pid), (None, pid), "all by one process")
        abide.stop()


def begins_with_mistake(t):
    with Smtpd() as server, Abide({"relay": f"127.0.0.1:{server.port}", "hostnam": "x.test"}) as abide:
        abide.start()
        submit(abide, "1@x.test")
        t.ok(said(abide, "nothing is delivered before that is mended"), "it begins with a broken file, and says what that means", abide.log_tail)
        time.sleep(0.5)
        t.equal((server.record.connections(), len(abide.spool.ids())), ([], 1), "mail is taken, and none delivered")
        abide.configure(hostnam=None)
        abide.daemon.send_signal(signal.SIGHUP)
        server.record.wait_messages(1, 10)
        t.equal(arrived(server), ["1@x.test"], "mended: it goes out")
        abide.stop()


def waiting_mail_takes_it(t):
    """What was deferred by a wrong relay goes to the right one when its time comes, or when the queue is run."""
    with Smtpd(rules=[{"at": "rcpt", "reply": "451 4.3.0 later"}]) as one, Smtpd() as two, Abide({"relay": f"127.0.0.1:{one.port}"}) as abide:
        abide.start()
        submit(abide, "1@x.test")
        abide.wait_for(lambda: abide.log("=="), 10, "a deferral")
        abide.configure(relay=f"127.0.0.1:{two.port}")
        abide.daemon.send_signal(signal.SIGHUP)
        abide.wait_for(lambda: said(abide, "read anew"), 10, "the word that it was read")
        time.sleep(1.1)                 # names tell seconds: a wish is later than the last attempt
        r = abide.tool("queue", "retry", "all")
        t.equal(r.status, 0, "`abide queue retry all`", r)
        two.record.wait_messages(1, 10)
        t.equal((arrived(one), arrived(two)), ([], ["1@x.test"]), "mail that waited takes the new way")
        abide.wait_for(abide.spool.empty, 10)
        abide.stop()


# ---- one spooler a spool

def second(t):
    with Smtpd() as server, Abide({"relay": f"127.0.0.1:{server.port}"}) as abide:
        pid = abide.start()
        for arguments, status in (((), 75), (("--until-empty",), 75), (("--once",), 0)):
            r, took = seconds(lambda a=arguments: abide.run("abided", *a))
            name = " ".join(("abided", *arguments))
            t.equal((r.status, r.out), (status, b""), f"{name} beside a daemon: exit {status}", r)
            t.ok(r.err.count(b"\n") == 1 and b"another spooler" in r.err and f"pid {pid} daemon".encode() in r.err, f"{name}: one line says who", r)
            t.ok(took < 3, f"{name}: at once", took)
        submit(abide, "1@x.test")
        server.record.wait_messages(1, 10)
        t.equal((abide.daemon.poll(), abide.spool.holder()), (None, (str(pid), "daemon")), "the first works on")
        abide.kill("keeper")
        t.ok(abide.start() != pid, "one that was killed leaves no lock behind")
        abide.stop()


def takes_over(t):
    """A daemon that finds a spooler started on demand asks it to go."""
    with Smtpd(rules=[{"at": "rcpt", "reply": "451 4.3.0 later"}]) as server, Abide({"relay": f"127.0.0.1:{server.port}"}) as abide:
        submit(abide, "1@x.test")
        on_demand = abide.popen("abided", "--until-empty")
        abide.wait_for(lambda: abide.log("=="), 10, "a deferral")
        abide.start()
        t.equal(on_demand.wait(20), 0, "one started on demand leaves when a daemon comes: exit 0")
        abide.wait_for(lambda: abide.spool.holder() == (str(abide.daemon.pid), "daemon"), 10, "the daemon's name in lock")
        t.equal(len(abide.spool.cur()), 1, "nothing was lost between them")
        abide.stop()


def main(t):
    for part in (stops, busy, final_phase, bounded, reload, begins_with_mistake, waiting_mail_takes_it, second, takes_over):
        part(t)


if __name__ == "__main__":
    tap.main(main)
