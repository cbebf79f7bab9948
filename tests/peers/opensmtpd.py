"""OpenSMTPD as a receiving server.

    opensmtpd.start(listen=[("198.18.0.12", 25)], lines="smtp limit max-mails 3")

It takes mail for every domain into one maildir. LINES: more lines of smtpd.conf.
"""
from peers.root import Peer, building, need_users

CONFIGURATION = """
smtp max-message-size 100M
{lines}
{listen}
table everyone {{ "@" = box }}
action "box" maildir "/box" virtual <everyone>
match from any for any action "box"
"""


def start(listen, lines=""):
    need_users("OpenSMTPD")
    with building("opensmtpd") as root:
        where = "\n".join(f"listen on {a} port {p} hostname opensmtpd.test" for a, p in listen)
        root.write("etc/smtpd.conf", CONFIGURATION.format(lines=lines, listen=where))
        root.directory("var/lib/opensmtpd/empty")
        for directory in ("var/spool", "var/run"):
            root.directory(directory)
        root.spawn("/usr/sbin/smtpd", "-d")
        return Peer(root, listen).ready()
