"""Reports as their readers get them: real refusals, real reports, taken apart by Python's mail parser. What a hostile server or
sender wrote is in them, and is nothing but text."""
import email
import email.policy
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from lib import tap
from lib.abide import Abide
from lib.smtpd import Smtpd

TRICKS = ["550-5.1.1 Action: delivered", "550-5.1.1 Final-Recipient: rfc822; good@example.net", "550 5.1.1 --=_x-- \x1b[2J Postf\xe4cher"]
RULES = [
    {"at": "rcpt", "rcpt": "dead@*", "reply": "550 5.1.1 no such user"},
    {"at": "rcpt", "rcpt": "full@*", "reply": "552 5.2.2 mailbox full"},
    {"at": "rcpt", "rcpt": "evil@*", "reply": TRICKS},
    {"at": "rcpt", "rcpt": "late@*", "reply": "451 4.7.1 greylisted, try again later"},
]
MESSAGE = (b"Message-ID: <one@example.org>\nSubject: An invoice\nFrom: Alice <alice@example.org>\nTo: dead@example.net\n"
           b"X-Note: caf\xc3\xa9\n\nThe body: \xc3\xa4.\n.\n--=_x--\n")


class Report:
    """A report, taken apart."""

    def __init__(self, t, message):
        self.message = message
        self.mail = email.message_from_bytes(message.data, policy=email.policy.SMTP)
        t.equal(defects(self.mail), [], "the parser finds no fault in it", message.text.decode(errors="replace"))
        t.equal((self.mail.get_content_type(), self.mail.get_param("report-type")), ("multipart/report", "delivery-status"), "its type")
        self.parts = list(self.mail.iter_parts())
        t.equal([p.get_content_type() for p in self.parts[:2]], ["text/plain", "message/delivery-status"], "its parts")
        self.words = self.parts[0].get_content()
        self.groups = self.parts[1].get_payload()

    def about(self, address):
        """The fields about a recipient."""
        (fields,) = [g for g in self.groups[1:] if g["Final-Recipient"].endswith(address)]
        return fields


def defects(part):
    found = [repr(d) for d in part.defects]
    for value in part.values():
        found += [repr(d) for d in getattr(value, "defects", ())]
    for inner in part.iter_parts() if part.is_multipart() and part.get_content_maintype() == "multipart" else ():
        found += defects(inner)
    return found


def submit(a, server, *rcpts, wait, sender="alice@example.org"):
    r = a.submit("-i", "-f", sender, *rcpts, data=MESSAGE)
    assert r.status == 0, r
    return server.record.wait_messages(wait, 20)


def failures(t, a, server):
    """All refusals of one transaction are one report."""
    messages = submit(a, server, "dead@example.net", "full@example.net", "evil@example.net", "good@example.net", wait=2)
    (message,) = [m for m in messages if m.sender == ""]
    t.equal(message.recipients, ["alice@example.org"], "it goes to the sender, from nobody")
    t.equal(message.params.get("BODY"), "8BITMIME", "what has 8 bits is declared so")
    r = Report(t, message)
    t.equal((r.mail["From"], r.mail["To"], r.mail["Subject"]),
            ("Mail Delivery System <MAILER-DAEMON@client.test>", "alice@example.org", "Mail not delivered: An invoice"), "its header")
    t.equal((r.mail["Auto-Submitted"], r.mail["In-Reply-To"], r.mail["References"]), ("auto-replied", "<one@example.org>", "<one@example.org>"),
            "what it answers")
    t.equal((r.groups[0]["Reporting-MTA"], len(r.groups)), ("dns; client.test", 4), "one group of fields for each that failed")
    dead, full, evil = (r.about(f"{x}@example.net") for x in ("dead", "full", "evil"))
    t.equal((dead["Action"], dead["Status"], dead["Diagnostic-Code"]), ("failed", "5.1.1", "smtp; 550 5.1.1 no such user"), "one of them")
    t.ok("127.0.0.1" in dead["Remote-MTA"] and dead["Last-Attempt-Date"], "who said so, and when", dead)
    t.equal(full["Status"], "5.2.2", "another")
    t.equal((evil["Action"], evil["Status"], evil.get_all("Final-Recipient")), ("failed", "5.1.1", ["rfc822; evil@example.net"]),
            "a server's lines are no fields")
    t.ok("Action: delivered" in evil["Diagnostic-Code"].replace("\r\n", ""), "but they are shown", evil)
    t.ok("\x1b" not in message.data.decode("latin-1"), "without their control bytes")
    t.ok("550 5.1.1 no such user" in r.words and "Check the address" in r.words and "good@" not in r.words.partition("evil@")[0],
         "people are told", r.words)
    t.equal(r.parts[2].get_content_type(), "text/rfc822-headers", "the header comes back")
    head = r.parts[2].get_payload(decode=True).replace(b"\r\n", b"\n")
    t.ok(b"X-Note: caf\xc3\xa9\n" in head and b"The body" not in head, "as it was, alone", head)


def whole(t, a, server):
    a.configure(bounce_body="whole")
    a.restart()
    seen = len(server.record.messages())
    r = Report(t, submit(a, server, "dead@example.net", wait=seen + 1)[-1])
    t.equal(r.parts[2].get_content_type(), "message/rfc822", "the whole message comes back")
    inner = r.parts[2].get_payload(0)
    t.equal(inner["Message-ID"], "<one@example.org>", "its header")
    t.equal(inner.get_payload(decode=True).replace(b"\r\n", b"\n"), MESSAGE.partition(b"\n\n")[2], "its body, byte by byte")


def to_root(t, a, server):
    seen = len(server.record.messages())
    for sender in "cron@client.test", "cron":
        seen += 1
        message = submit(a, server, "dead@example.net", wait=seen, sender=sender)[-1]
        t.equal(message.recipients, ["boss@example.com"], f"a report for {sender} goes to root")


def to_nobody(t, a, server):
    seen = len(server.record.messages())
    r = a.submit("-i", "-f", "<>", "dead@example.net", data=MESSAGE)
    t.equal(r.status, 0, "a report is sent that nobody takes")
    a.wait_for(lambda: len(a.spool.dead()) == 1, 20, "a name in dead/")
    a.settle()
    t.equal(len(server.record.messages()), seen, "there is no report about a report; it lies in dead/")


def warning(t, a, server):
    seen = len(server.record.messages())
    a.submit("-i", "-f", "alice@example.org", "late@example.net", data=MESSAGE)
    a.wait_for(lambda: a.log("=="), 20, "a deferral")
    t.ok(a.live(lambda: len(server.record.messages()) > seen, 3600, 60), "a warning comes", a.log_tail)
    message = server.record.messages()[-1]
    r = Report(t, message)
    late = r.about("late@example.net")
    t.equal((r.mail["Subject"], r.mail["Auto-Submitted"]), ("Mail delayed, still trying: An invoice", "auto-replied"), "it is a warning")
    t.equal((late["Action"], late["Status"][:2]), ("delayed", "4."), "for programs", late)
    t.ok(late["Will-Retry-Until"] and late["Will-Retry-Until"] in r.words, "how long it is tried, for both", r.words)
    t.ok("do not have to do anything" in r.words, "nobody has to do anything")
    a.live(lambda: False, 1200, 300)
    t.equal(len(server.record.messages()), seen + 1, "one warning is enough")


def main(t):
    with Smtpd(rules=RULES) as server:
        host, port = server.addresses[0]
        config = {"relay": f"{host}:{port}", "root": "boss@example.com", "schedule": "60s", "warn_after": "10m"}
        with Abide(config, clock=True) as a:
            a.start()
            for test in failures, whole, to_root, to_nobody, warning:
                t.diag(f"---- {test.__name__}")
                test(t, a, server)
            t.equal(a.stop(), 0, "abided ends well")
        t.equal(server.record.violations(), [], "the client behaved")


tap.main(main)
