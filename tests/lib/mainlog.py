"""abide's log, read as Exim's main log is read."""
import calendar
import re
import time

from lib.spool import ID

FORM = re.compile(rf"(\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d) (?:\[\d+\] )?(?:({ID}) )?(.*)\Z", re.S)
FIELD = re.compile(r'(?<!\S)([A-Za-z_]+)=("(?:[^"\\]|\\.)*"|\S+)')
FLAGS = ("<=", "=>", "->", "==", "**", "*>", ">>")


class Line:
    """t (seconds, the log being in UTC), id ("" without one), flag ("<=", "=>", "Completed", "" ...), address, fields
    ({"R": "relay", "C": "250 ok", "site": ...}), text (all behind time and ID)."""

    def __init__(self, raw):
        self.raw = raw
        m = FORM.match(raw)
        if m is None:
            raise ValueError(f"no line of a main log: {raw!r}")
        self.t = calendar.timegm(time.strptime(m[1], "%Y-%m-%d %H:%M:%S"))
        self.id, self.text = m[2] or "", m[3]
        words = self.text.split(" ", 2)
        self.flag = words[0] if words[0] in FLAGS or self.text == "Completed" else ""
        self.address = words[1] if self.flag in FLAGS and len(words) > 1 else ""
        self.fields = {k: v.strip('"') for k, v in FIELD.findall(self.text)}

    def __repr__(self):
        return self.raw


def read(path):
    """[Line]; a file that is not there is an empty log, a torn last line is left out."""
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return [Line(line.rstrip("\n")) for line in f if line.endswith("\n")]
    except FileNotFoundError:
        return []
