"""Real mail servers and a real DNS server for tests, unpacked from Debian's packages, never installed. See root.py."""
