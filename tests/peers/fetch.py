"""Gets Debian's packages of the peers with all they depend on, and unpacks each peer into a root of its own in a cache.

    fetch.py [postfix exim opensmtpd named]     (default: all that are not there yet; 77: it cannot be done here)

Nothing is installed: apt works on a package database of its own, which is empty, so that it resolves every dependency;
maintainer scripts never run. The machine's sources and keys are used, no privilege is needed, and once a root is there
neither apt nor the network is. The cache is $ABIDE_TEST_CACHE, else build/peers in the source tree; it may be removed.
"""
import concurrent.futures
import contextlib
import fcntl
import glob
import os
import shutil
import stat
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LAYOUT = "1"                    # a change here makes all roots anew
TOOLS = ["dash", "coreutils", "libfaketime"]
PACKAGES = {
    "postfix": ["postfix", "postgrey", *TOOLS],
    "exim": ["exim4-daemon-light", *TOOLS],
    "opensmtpd": ["opensmtpd", *TOOLS],
    "named": ["bind9", *TOOLS],
}
USELESS = ["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/lib/*/gconv"]
DEADLINE = 600                  # seconds for all of apt's work


class Unavailable(Exception):
    """The peer cannot be had here; the argument says why."""


def cache():
    return os.path.abspath(os.environ.get("ABIDE_TEST_CACHE") or os.path.join(HERE, os.pardir, os.pardir, "build", "peers"))


def prepare(*peers):
    """Fetches what is missing. To be called before netns.enter(), for there is no network inside; what cannot be had is
    skipped there, with the reason from here."""
    for peer in peers:
        try:
            root(peer)
        except Unavailable as e:
            os.environ[excuse(peer)] = str(e)


def excuse(peer):
    return f"ABIDE_NO_{peer.upper()}"


def root(peer):
    """The directory with the unpacked peer; fetched now if need be. Raises Unavailable."""
    if os.environ.get(excuse(peer)):
        raise Unavailable(os.environ[excuse(peer)])
    there = os.path.join(cache(), peer)
    stamp = os.path.join(there, ".packages")
    try:
        os.makedirs(cache(), exist_ok=True)
        if os.stat(cache()).st_uid != os.geteuid():      # its files would not be root's in a user's private world
            raise Unavailable(f"{peer}: {cache()} belongs to another user; name a cache in ABIDE_TEST_CACHE")
        with locked(os.path.join(cache(), "lock")):
            if not fresh(stamp, peer):
                make(peer, there, stamp)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise Unavailable(f"{peer} cannot be fetched: {e}") from e
    return there


def fresh(stamp, peer):
    try:
        with open(stamp) as f:
            return f.readline().split() == [LAYOUT, *PACKAGES[peer]]
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def locked(path):
    with open(path, "w") as f:
        end = time.monotonic() + DEADLINE
        while True:
            try:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise TimeoutError(f"{path} is held by another test") from None
                time.sleep(0.2)
        yield


def make(peer, there, stamp):
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise Unavailable(f"{peer}: {tool} is not here; peers come from Debian packages")
    packages = download(peer)
    fresh_root = there + ".new"
    for old in (fresh_root, there):
        if os.path.exists(old):
            shutil.rmtree(old)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        trees = list(pool.map(unpack, packages))
    os.mkdir(fresh_root)
    for tree in trees:                                   # of links: what two peers need is there once
        run(["cp", "--archive", "--link", tree + "/.", fresh_root])
    with open(os.path.join(fresh_root, ".packages"), "w") as f:
        print(LAYOUT, *PACKAGES[peer], file=f)
        print(*map(os.path.basename, packages), sep="\n", file=f)
    os.rename(fresh_root, there)
    assert fresh(stamp, peer)


def unpack(package):
    """The directory with the package's files, without documentation; made now if need be."""
    tree = os.path.join(cache(), "packages", os.path.basename(package))
    if not os.path.exists(tree):
        shutil.rmtree(tree + ".new", ignore_errors=True)
        os.makedirs(tree + ".new")
        run(["dpkg-deb", "--extract", package, tree + ".new"])
        for useless in USELESS:
            for path in glob.glob(os.path.join(tree + ".new", useless)):
                shutil.rmtree(path)
        disarm(tree + ".new")
        os.rename(tree + ".new", tree)
    return tree


def disarm(tree):
    """No set-id programs of root in a place that anybody may reach; root.py gives one its bits back where it runs."""
    for directory, _, names in os.walk(tree):
        for path in (os.path.join(directory, n) for n in names):
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                os.chmod(path, stat.S_IMODE(mode) & ~(stat.S_ISUID | stat.S_ISGID))


def download(peer):
    """The .deb files of the peer and of everything it depends on."""
    state = os.path.join(cache(), "apt")
    for d in ("lists/partial", "archives/partial", "none/partial"):
        os.makedirs(os.path.join(state, d), exist_ok=True)
    with open(os.path.join(state, "status"), "w"):
        pass
    apt = ["apt-get", "-qq", f"-oDir::State={state}", f"-oDir::State::lists={state}/lists", f"-oDir::State::status={state}/status",
           f"-oDir::Cache={state}", f"-oDir::Cache::archives={state}/archives", "-oDebug::NoLocking=1", "-oAPT::Sandbox::User=",
           "-oAPT::Install-Recommends=0", "-oAcquire::http::Timeout=30", "-oAcquire::Retries=2"]
    install = [*apt, "-y", "install", *PACKAGES[peer]]
    try:
        run([*install, "--download-only"])
    except OSError:                                      # no lists yet, or older than the archive
        why = ""
        try:
            run([*apt, "update"])
        except OSError as e:                             # one bad source of several does no harm
            why = f", {e}"
        try:
            run([*install, "--download-only"])
        except OSError as e:
            raise OSError(f"{e}{why}") from e
    # What of the shared archives is this peer's: what apt would have to get if there were none. 'URI' NAME SIZE DIGEST
    lines = run([*install, "--print-uris", f"-oDir::Cache::archives={state}/none"]).splitlines()
    return [os.path.join(state, "archives", line.split()[1]) for line in lines if line.startswith("'")]


def run(argv):
    """Its output. OSError with its last line when it fails."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE, text=True,
                          env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"})
    if done.returncode != 0:
        raise OSError(f"{argv[0]}: {(done.stdout.strip().splitlines() or ['no word about it'])[-1]}")
    return done.stdout


def main():
    for peer in sys.argv[1:] or PACKAGES:
        start = time.monotonic()
        try:
            where = root(peer)
        except Unavailable as e:
            sys.stdout.flush()
            print(e, file=sys.stderr)
            sys.exit(77)
        print(f"{peer}: {where} ({time.monotonic() - start:.1f} s)")


if __name__ == "__main__":
    main()
