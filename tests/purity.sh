#!/bin/sh
# purity: what decides does no I/O and reads no clock, so that 72 hours can be tested in a millisecond. The objects of these
# files may name no function of libc that does, and no function of ours from a file that does.
set -eu
tree=${ABIDE_TREE:-build/tree}
nm=${NM:-nm}
cd "$tree"

pure='spooler/courier/session*.o spooler/courier/expect.o spooler/courier/ehlo.o spooler/courier/events.o
	spooler/link/wire.o common/reply.o common/cause.o common/address.o common/mime*.o common/envelope.o common/trail.o common/rfc5322.o common/buf.o'
# Mixed files have a pure part; these functions of theirs are the other one.
ours='clock_now clock_boot clock_date msgid_make config_load'
libc='open openat openat2 creat close read pread readv write pwrite writev sendfile copy_file_range dup dup2 dup3 pipe pipe2 fcntl
	ioctl flock socket socketpair connect accept accept4 bind listen shutdown send sendto sendmsg recv recvfrom recvmsg
	poll ppoll select pselect epoll_create1 epoll_ctl epoll_wait stat lstat fstat fstatat access faccessat rename renameat
	link linkat symlink unlink unlinkat mkdir mkdirat rmdir opendir fdopendir readdir truncate ftruncate chmod fchmod chown
	fchown fsync fdatasync sync syncfs mmap time gettimeofday clock_gettime clock_nanosleep nanosleep sleep usleep alarm
	localtime localtime_r mktime tzset getenv secure_getenv setenv getrandom getentropy arc4random arc4random_buf
	arc4random_uniform rand random drand48 fopen fdopen freopen fread fwrite fgets fgetc getc getline getdelim puts fputs
	putc fputc putchar printf vprintf fprintf vfprintf dprintf vdprintf perror fflush stdin stdout stderr syslog vsyslog
	warn warnx err errx fork vfork posix_spawn execve execv execvp kill wait waitpid signal sigaction getpid getuid
	geteuid getpwuid getpwnam gethostname getaddrinfo gethostbyname system popen exit _exit'

# Whatever these files define is I/O too.
impure='common/spool.o common/log.o common/identity.o common/listing.o spooler/link/channel.o spooler/keeper/*.o
	spooler/courier/transport.o spooler/courier/dns.o spooler/courier/dial.o'
# shellcheck disable=SC2086  # lists of words and patterns
{
	for name in $libc $ours; do echo "bad $name"; done
	"$nm" -g --defined-only $impure | awk 'NF == 3 { print "bad", $3 }'
	for object in spooler/policy/*.o $pure; do
		case $object in */lib*-*) continue ;; esac      # the same again with other flags
		echo "object $object"
		"$nm" -u "$object" | awk '{ print "uses", $NF }' || echo "uses nothing, for it cannot be read"
	done
} | awk '
	function verdict() { if (object != "") printf "%sok %d - %s%s\n", calls ? "not " : "", ++count, object, calls ? "" : ", " uses " names" }
	{ plain = $2; sub(/@.*/, "", plain) }
	$1 == "bad" { bad[plain] = 1 }
	$1 == "object" { verdict(); object = $2; calls = uses = 0 }
	$1 == "uses" {
		# __read_chk, __open64_2: the same function in fortified or large-file dress
		dress = plain
		sub(/^_+/, "", dress); sub(/_chk$/, "", dress); sub(/_(2|alias)$/, "", dress); sub(/64$/, "", dress)
		uses++
		if (plain in bad || dress in bad) { print "# " object " calls " plain; calls = 1 }
	}
	END { verdict(); print "1.." count }'
