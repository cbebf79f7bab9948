"""Postfix as a receiving server, with a real postgrey in front of it if wanted.

    postfix.start(listen=[("198.18.0.10", 25)], greylist=300, clock=clock, main={"smtpd_client_connection_count_limit": "2"})

It takes mail for every domain into one maildir. GREYLIST: postgrey with that delay (its own default is 300 s) decides on
each RCPT; it lives by CLOCK (lib/clock.py) if there is one, by real time else; Postfix itself always lives in real time.
MAIN: more lines of main.cf.
"""
import os

from peers.root import BOX, Peer, building, need_users

MASTER = """
cleanup   unix  n  -  n  -     0  cleanup
qmgr      unix  n  -  n  300   1  qmgr
rewrite   unix  -  -  n  -     -  trivial-rewrite
bounce    unix  -  -  n  -     0  bounce
defer     unix  -  -  n  -     0  bounce
trace     unix  -  -  n  -     0  bounce
verify    unix  -  -  n  -     1  verify
proxymap  unix  -  -  n  -     -  proxymap
error     unix  -  -  n  -     -  error
retry     unix  -  -  n  -     -  error
smtp      unix  -  -  n  -     -  smtp
virtual   unix  -  n  n  -     -  virtual
anvil     unix  -  -  n  -     1  anvil
"""
MAIN = {
    "compatibility_level": "3.6", "myhostname": "postfix.test", "mydestination": "", "alias_maps": "", "alias_database": "",
    "queue_directory": "/var/spool/postfix", "command_directory": "/usr/sbin", "daemon_directory": "/usr/lib/postfix/sbin",
    "data_directory": "/var/lib/postfix", "mail_owner": "postfix", "setgid_group": "postdrop", "inet_protocols": "all",
    "virtual_mailbox_domains": "static:all", "virtual_mailbox_base": "/", "virtual_mailbox_maps": "static:box/",
    "virtual_uid_maps": f"static:{BOX}", "virtual_gid_maps": f"static:{BOX}", "virtual_mailbox_limit": "0",
    "message_size_limit": "104857600", "smtpd_peername_lookup": "no", "disable_dns_lookups": "yes", "import_environment": "PATH TZ",
}
QUEUES = ["active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace"]
USER, GREY, DROP = 101, 102, 107
POLICY = "127.0.0.1:10023"
CLOCK = "clock"                 # where the clock's directory is seen in the root


def start(listen, greylist=None, clock=None, main=None):
    need_users("Postfix")
    with building("postfix") as root:
        settings = dict(MAIN)
        if greylist is not None:
            start_postgrey(root, greylist, clock)
            settings["smtpd_recipient_restrictions"] = f"check_policy_service inet:{POLICY}"
        settings.update(main or {})
        services = "".join(f"{f'[{a}]' if ':' in a else a}:{p} inet n - n - - smtpd\n" for a, p in listen)
        root.write("etc/postfix/main.cf", "".join(f"{k} = {v}\n" for k, v in settings.items()))
        root.write("etc/postfix/master.cf", services + MASTER)
        for name in ("main.cf", "master.cf"):           # Postfix waits two seconds for a file that changed just now
            os.utime(f"{root.path}/etc/postfix/{name}", (1, 1))
        root.directory("var/spool/postfix")
        root.directory("var/spool/postfix/pid")
        for queue in QUEUES:
            root.directory(f"var/spool/postfix/{queue}", USER, 0, 0o700)
        root.directory("var/spool/postfix/public", USER, DROP, 0o710)
        root.directory("var/spool/postfix/maildrop", USER, DROP, 0o730)
        root.directory("var/lib/postfix", USER, USER, 0o700)
        root.spawn("/usr/lib/postfix/sbin/master", "-c", "/etc/postfix", "-d")
        return Peer(root, listen).ready()


def start_postgrey(root, delay, clock):
    env = {}
    if clock is not None:
        root.share(os.path.dirname(clock.path), CLOCK)
        env = clock.env(path=f"/{CLOCK}/{os.path.basename(clock.path)}", preload=preload(root))
    root.directory("var/lib/postgrey", GREY, GREY, 0o700)
    root.write("etc/postgrey/whitelist_clients", "")
    root.write("etc/postgrey/whitelist_recipients", "")
    root.spawn("/usr/sbin/postgrey", f"--inet={POLICY}", f"--delay={delay}", "--user=postgrey", "--group=postgrey", "--hostname=postfix.test",
               "--pidfile=/tmp/postgrey.pid", env=env)
    root.wait(lambda: "Process Backgrounded" in root.log() or "Binding to TCP" in root.log(), "postgrey")


def preload(root):
    """libfaketime as the root has it."""
    for directory, _, names in os.walk(f"{root.path}/usr/lib"):
        if "libfaketime.so.1" in names:
            return os.path.join(directory, "libfaketime.so.1")[len(root.path):]
    raise FileNotFoundError("libfaketime.so.1 in the root")
