# L3: the process that owns the spool.

noinst_LIBRARIES += %D%/libkeeper.a
%C%_libkeeper_a_SOURCES = \
	%D%/bounce.c %D%/bounce.h \
	%D%/bounce_original.c %D%/bounce_original.h \
	%D%/bounce_words.c %D%/bounce_words.h \
	%D%/child.c %D%/child.h \
	%D%/context.h \
	%D%/dispatch.c %D%/dispatch.h \
	%D%/filing.c %D%/filing.h \
	%D%/flight.c %D%/flight.h \
	%D%/forget.c %D%/forget.h \
	%D%/hints.c %D%/hints.h \
	%D%/hostsfile.c %D%/hostsfile.h \
	%D%/keeper.c %D%/keeper.h \
	%D%/outcome.c %D%/outcome.h \
	%D%/queue.c %D%/queue.h \
	%D%/record.c %D%/record.h \
	%D%/requests.c %D%/requests.h \
	%D%/ring.c %D%/ring.h \
	%D%/ring_routes.c \
	%D%/ring_state.h \
	%D%/wake.c %D%/wake.h \
	%D%/window.c %D%/window.h
