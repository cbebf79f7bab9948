"""What the system tests share. A test puts tests/ on its path in place of its own folder, where a file may bear the name
of one of Python's modules:

    sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)

tap       TAP on stdout             clock     virtual time, and what libfaketime does
netns     a private world           smtpd     a scripted SMTP server, smtprecord what it saw
abide     the programs on a spool   spool, mainlog    what they leave in files
"""
