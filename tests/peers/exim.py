"""Exim as a receiving server.

    exim.start(listen=[("198.18.0.11", 25)], refuse_first=3, main="smtp_accept_max_per_host = 2")

It takes mail for every domain into one maildir. REFUSE_FIRST: its connect ACL answers 421 to so many connections, then
accepts. MAIN: more lines for the main section.
"""
import os

from peers.root import Peer, building, need_users

USER = 103
REFUSED = "run/exim4/refused"           # a byte for each refused connection
CONFIGURATION = """
primary_hostname = exim.test
local_interfaces = <; {interfaces}
domainlist everywhere = *
acl_smtp_connect = connect
acl_smtp_rcpt = accept
spool_directory = /var/spool/exim4
log_file_path = syslog
syslog_timestamp = true
message_size_limit = 100M
keep_environment =
tls_advertise_hosts =
host_lookup =
rfc1413_query_timeout = 0s
{main}
begin acl
connect:
  defer condition = ${{if <{{${{extract{{size}}{{${{stat:/{refused}}}}}}}}}{{{refuse_first}}}}}
        set acl_c_counted = ${{run{{/bin/sh -c "printf x >>/{refused}"}}}}
        message = 421 Too many connections from you, try again later
  accept
accept:
  accept
begin routers
box:
  driver = accept
  domains = +everywhere
  transport = box
begin transports
box:
  driver = appendfile
  directory = /box
  maildir_format
  user = box
  group = box
  envelope_to_add
  return_path_add
"""


def start(listen, refuse_first=0, main=""):
    need_users("Exim")
    with building("exim") as root:
        interfaces = " ; ".join(f"[{a}]:{p}" for a, p in listen)
        root.write("etc/exim4/exim4.conf", CONFIGURATION.format(interfaces=interfaces, refused=REFUSED, refuse_first=refuse_first, main=main))
        root.directory("run/exim4", USER, USER)
        root.directory("var/spool/exim4", USER, USER, 0o750)
        root.write(REFUSED, "", USER, USER)
        os.chmod(f"{root.path}/usr/sbin/exim4", 0o4755)         # its daemon gives root up, and a delivery takes it back
        root.spawn("/usr/sbin/exim4", "-bdf")
        return Exim(root, listen).ready()


class Exim(Peer):
    def ready(self):
        """It listens; a look at the greeting would use up a refusal."""
        self.root.wait(lambda: "daemon started" in self.log(), "Exim")
        return self

    def refused(self):
        """How many connections were answered with 421 by the ACL."""
        return os.path.getsize(f"{self.root.path}/{REFUSED}")
