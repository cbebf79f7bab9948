"""A private world for a test: own network, mounts and process ids; loopback only; nothing of it survives the end.

    from lib import netns
    netns.enter()           # first thing in the test: runs it anew inside, or skips it (in CI: fails)

Works as root, as an ordinary user where user namespaces are allowed, and as a user with a range of subordinate ids
(/etc/subuid and newuidmap) as fully as root. Inside, netns.uids() says which users there are: "all", "range" (0..65535,
with root's rights within), or "one" (0 alone, and it is us).

The addresses inside:
    127.0.0.0/8, ::1, 198.18.0.0/15, 2001:db8:1::/48   all ours on lo: bind any of them. `ip addr` lists the first two only;
                                                       add_address() puts one on the interface, where getifaddrs() sees it
    203.0.113.0/24, 2001:db8:dead::/48                 swallow every packet: a connect or a query times out
    192.0.2.0/24                                       EHOSTUNREACH at once
    anything else                                      ENETUNREACH at once
"""
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile

if __name__ == "__main__":
    sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
from lib import tap

LOCAL4, LOCAL6 = "198.18.0.0/15", "2001:db8:1::/48"
SILENT4, SILENT6 = "203.0.113.0/24", "2001:db8:dead::/48"
UNREACHABLE4 = "192.0.2.0/24"
DEADLINE = 20          # seconds for anything done here

_PRIVATE = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
_NO_PIDS = ["--mount", "--net", "--fork", "--kill-child"]         # a container that may not mount /proc
_ATTEMPTS = [("all", _PRIVATE), ("range", ["--user", "--map-root-user", "--map-auto"] + _PRIVATE),
             ("one", ["--user", "--map-root-user"] + _PRIVATE), ("all", _NO_PIDS), ("one", ["--user", "--map-root-user"] + _NO_PIDS)]


def inside():
    return os.environ.get("ABIDE_NETNS") == os.readlink("/proc/self/ns/net")


def uids():
    return os.environ.get("ABIDE_NETNS_UIDS", "")


def has_ipv6():
    return run("ip", "-6", "addr", "show", "lo").stdout != ""


def enter(argv=None):
    """Returns only inside the private world, having run this test (ARGV, by default how it was called) anew there."""
    if inside():
        return
    for tool in ("unshare", "ip", "mount"):
        if shutil.which(tool, path=_path()) is None:
            tap.skip_all(f"no private network namespace: {tool} is not installed (util-linux, iproute2, mount)")
    argv = argv or [sys.executable, *(["-B"] if sys.dont_write_bytecode else []), os.path.abspath(sys.argv[0]), *sys.argv[1:]]
    why = "no way tried"
    for kind, flags in _ATTEMPTS:
        if (kind == "all") != (os.geteuid() == 0) and kind != "one":
            continue
        init = ["unshare", *flags, "--", sys.executable, "-B", os.path.abspath(__file__), kind]
        try:
            trial = subprocess.run([*init, "true"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE, env=_env())
        except subprocess.TimeoutExpired:
            why = "unshare hangs"
            continue
        if trial.returncode == 0:
            sys.stdout.flush()
            os.execvpe(init[0], init + argv, _env())
        why = (trial.stderr.strip().splitlines() or ["unshare failed"])[-1]
    tap.skip_all(f"no private network namespace here: {why}")


def add_address(address, dev="lo"):
    """Puts it on the interface, if it is not there yet."""
    must("ip", "addr", "replace", address + ("/128" if ":" in address else "/32"), "dev", dev, *(["nodad"] if ":" in address else []))


def cover(path, text):
    """Shows TEXT at PATH (say /etc/resolv.conf), in this world only."""
    fd, shown = tempfile.mkstemp(prefix="abide-cover-")
    with os.fdopen(fd, "w") as f:
        f.write(text)
    os.chmod(shown, 0o644)
    must("mount", "--bind", shown, os.path.realpath(path))
    os.unlink(shown)        # the mount keeps it


def run(*argv):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE, env=_env())


def must(*argv):
    """Runs a command of the system; OSError when it fails."""
    done = run(*argv)
    if done.returncode != 0:
        raise OSError(f"{' '.join(argv)}: {done.stderr.strip()}")


def _path():
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def _env():
    return {**os.environ, "PATH": _path()}


def _world():
    """As the first process of the world: interfaces, routes, a /dev/shm where names by pid do not collide."""
    must("ip", "link", "set", "lo", "up")
    must("ip", "route", "add", "local", LOCAL4, "dev", "lo")
    if run("ip", "link", "add", "silent0", "type", "dummy").returncode != 0:
        must("ip", "link", "add", "silent0", "type", "veth", "peer", "name", "silent1")
        must("ip", "link", "set", "silent1", "up")
    must("ip", "link", "set", "silent0", "arp", "off", "up")
    must("ip", "addr", "add", SILENT4.replace(".0/", ".1/"), "dev", "silent0")
    must("ip", "route", "add", "unreachable", UNREACHABLE4)
    if has_ipv6():
        must("ip", "-6", "route", "add", "local", LOCAL6, "dev", "lo")
        run("ip", "-6", "route", "add", SILENT6, "dev", "silent0")
        with open("/proc/sys/net/ipv6/ip_nonlocal_bind", "w") as f:        # a local route alone does not allow bind() in IPv6
            f.write("1")
    must("mount", "-t", "tmpfs", "-o", "mode=1777", "shm", "/dev/shm")


def _init(kind, argv):
    """Builds the world, runs ARGV in it, reaps orphans, and takes all that is left along when it ends."""
    os.umask(0o022)
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)         # PR_SET_CHILD_SUBREAPER: where there are no pids of our own
    try:
        _world()
    except (OSError, subprocess.SubprocessError) as e:
        sys.exit(f"netns: {e}")
    env = {**_env(), "ABIDE_NETNS": os.readlink("/proc/self/ns/net"), "ABIDE_NETNS_UIDS": kind}
    child = subprocess.Popen(argv, env=env)
    for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(s, lambda number, frame: child.send_signal(number))
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            break
    if os.getpid() != 1:
        _kill_descendants()
    sys.stdout.flush()
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def _kill_descendants():
    for _ in range(50):
        found = [p for p in os.listdir("/proc") if p.isdigit() and _parent(p) == os.getpid()]
        if not found:
            return
        for p in found:
            os.kill(int(p), signal.SIGKILL)
        for p in found:
            os.waitpid(int(p), 0)


def _parent(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return int(f.read().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return -1


if __name__ == "__main__":
    _init(sys.argv[1], sys.argv[2:])
