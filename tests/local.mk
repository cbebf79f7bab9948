# Tests. Every one prints TAP; skips say why. Three kinds:
#   unit tests     one program a module, on Check: add its name to unit_tests, the source is tests/unit/NAME.c
#   form tests     about the source: layers, purity, shape, lint
#   system tests   the real programs: add the script to system_tests; *.sh is run by sh, *.py by python3 (no two of one stem)
# Scripts find the programs (sendmail, abided, abide, mailq, newaliases) in $ABIDE_BUILD, the source in $ABIDE_SRC,
# and may write to $ABIDE_TMP, which lies in the build tree; ABIDE_SANITIZERS is 1 in a sanitizer build.

unit_tests = \
	%D%/unit/t_address \
	%D%/unit/t_addrlist \
	%D%/unit/t_body \
	%D%/unit/t_bounce \
	%D%/unit/t_buf \
	%D%/unit/t_cause \
	%D%/unit/t_channel \
	%D%/unit/t_clock \
	%D%/unit/t_config \
	%D%/unit/t_crash \
	%D%/unit/t_dns \
	%D%/unit/t_draft \
	%D%/unit/t_envelope \
	%D%/unit/t_err \
	%D%/unit/t_header \
	%D%/unit/t_identity \
	%D%/unit/t_judge \
	%D%/unit/t_keeper \
	%D%/unit/t_listing \
	%D%/unit/t_log \
	%D%/unit/t_mailq \
	%D%/unit/t_message \
	%D%/unit/t_mime \
	%D%/unit/t_msgid \
	%D%/unit/t_options \
	%D%/unit/t_plan \
	%D%/unit/t_queue \
	%D%/unit/t_recipients \
	%D%/unit/t_record \
	%D%/unit/t_reply \
	%D%/unit/t_rfc5322 \
	%D%/unit/t_route \
	%D%/unit/t_session \
	%D%/unit/t_site \
	%D%/unit/t_spool \
	%D%/unit/t_stall \
	%D%/unit/t_trail \
	%D%/unit/t_utf8 \
	%D%/unit/t_what \
	%D%/unit/t_window \
	%D%/unit/t_wire

form_tests = \
	%D%/layers.sh \
	%D%/lint.sh \
	%D%/purity.sh \
	%D%/shape.sh

system_tests = \
	%D%/system/abide_queue.py \
	%D%/system/bigqueue.py \
	%D%/system/bounce.py \
	%D%/system/busy421.py \
	%D%/system/courier.py \
	%D%/system/courier_dns.py \
	%D%/system/daemon.py \
	%D%/system/exim_tools.py \
	%D%/system/fates.py \
	%D%/system/killstorm.py \
	%D%/system/mx_routing.py \
	%D%/system/real_peers.py \
	%D%/system/seventytwo.py \
	%D%/system/submit.py \
	%D%/system/submit_hostile.py \
	%D%/system/watching.py

# Plays the keeper to a real courier.
check_PROGRAMS += %D%/system/courier_drive
%C%_system_courier_drive_SOURCES = %D%/system/courier_drive.c
%C%_system_courier_drive_LDADD = spooler/courier/libcourier.a spooler/link/liblink.a common/libcommon.a compat/libcompat.a \
	$(LIBEVENT_LIBS) $(LIBCARES_LIBS) $(LIBBSD_LIBS)

# What the tests and the demo read or call.
test_data = \
	%D%/README.md \
	%D%/corpus/replies.tsv \
	%D%/corpus/wordings.tsv \
	%D%/demo/demo \
	%D%/lib/__init__.py \
	%D%/lib/abide.py \
	%D%/lib/clock.py \
	%D%/lib/dnsd.py \
	%D%/lib/drive.py \
	%D%/lib/front.py \
	%D%/lib/mainlog.py \
	%D%/lib/netns.py \
	%D%/lib/smtpd.py \
	%D%/lib/smtprecord.py \
	%D%/lib/spool.py \
	%D%/lib/tap.py \
	%D%/peers/__init__.py \
	%D%/peers/exim.py \
	%D%/peers/fetch.py \
	%D%/peers/named.py \
	%D%/peers/opensmtpd.py \
	%D%/peers/postfix.py \
	%D%/peers/root.py \
	%D%/system/courier_drive.c \
	%D%/system/harness_selftest.py \
	%D%/system/peers_selftest.py \
	%D%/system/smtpd_selftest.py

if HAVE_CHECK
check_PROGRAMS += $(unit_tests)
check_LIBRARIES += %D%/unit/libunit.a
%C%_unit_libunit_a_SOURCES = \
	%D%/unit/mutate.c \
	%D%/unit/mutate.h \
	%D%/unit/scratch.c \
	%D%/unit/scratch.h \
	%D%/unit/unit.c \
	%D%/unit/unit.h \
	%D%/unit/world.c \
	%D%/unit/world.h
%C%_unit_libunit_a_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
TESTS = $(unit_tests) $(form_tests) $(system_tests)
else
TESTS = $(form_tests) $(system_tests)
endif

# What a unit test is linked with: every folder, so a test is free to take any module.
LDADD = %D%/unit/libunit.a sendmail/libfront.a spooler/tool/libverbs.a spooler/keeper/libkeeper.a spooler/courier/libcourier.a \
	spooler/link/liblink.a spooler/policy/libpolicy.a common/libcommon.a compat/libcompat.a \
	$(CHECK_LIBS) $(LIBEVENT_LIBS) $(LIBCARES_LIBS) $(LIBIDN2_LIBS) $(LIBBSD_LIBS)

tap_driver = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
TEST_EXTENSIONS = .sh .py
# What hangs is ended, and counts as an error.
time_limit = timeout -k 10 300
LOG_DRIVER = $(tap_driver)
LOG_COMPILER = $(time_limit)
SH_LOG_DRIVER = $(tap_driver)
SH_LOG_COMPILER = $(time_limit) sh
PY_LOG_DRIVER = $(tap_driver)
PY_LOG_COMPILER = $(time_limit) python3 -B

if SANITIZERS
sanitizer_environment = ABIDE_SANITIZERS=1; CK_FORK=no; \
	ASAN_OPTIONS=detect_stack_use_after_return=1:$$ASAN_OPTIONS; UBSAN_OPTIONS=print_stacktrace=1:$$UBSAN_OPTIONS; \
	export ABIDE_SANITIZERS CK_FORK ASAN_OPTIONS UBSAN_OPTIONS;
else
sanitizer_environment =
endif
AM_TESTS_ENVIRONMENT = \
	ABIDE_BUILD='$(abs_top_builddir)/%D%/bin'; ABIDE_TREE='$(abs_top_builddir)'; ABIDE_SRC='$(abs_top_srcdir)'; \
	ABIDE_TMP='$(abs_top_builddir)/%D%/tmp'; NM='$(NM)'; PYTHONDONTWRITEBYTECODE=1; TZ=UTC; LC_ALL=C; CK_DEFAULT_TIMEOUT=60; \
	export ABIDE_BUILD ABIDE_TREE ABIDE_SRC ABIDE_TMP NM PYTHONDONTWRITEBYTECODE TZ LC_ALL CK_DEFAULT_TIMEOUT; \
	unset ABIDE_CONF; $(sanitizer_environment)

# One folder with all programs under the names they are installed by.
check_DATA = %D%/bin/programs
%D%/bin/programs: $(bin_PROGRAMS) $(sbin_PROGRAMS)
	$(AM_V_GEN)$(MKDIR_P) %D%/bin %D%/tmp && \
	for p in $(bin_PROGRAMS) $(sbin_PROGRAMS); do $(LN_S) -f '$(abs_top_builddir)'/$$p %D%/bin/ || exit 1; done && \
	for n in $(front_names); do $(LN_S) -f sendmail %D%/bin/$$n || exit 1; done && \
	echo $(bin_PROGRAMS) $(sbin_PROGRAMS) $(front_names) >$@

clean-local:
	rm -rf %D%/bin %D%/tmp

EXTRA_DIST += dev $(form_tests) $(system_tests) $(test_data)
