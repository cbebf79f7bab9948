# L3: the process that speaks to the world.

noinst_LIBRARIES += %D%/libcourier.a
%C%_libcourier_a_SOURCES = \
	%D%/answer.c %D%/answer.h \
	%D%/body.c %D%/body.h \
	%D%/courier.c %D%/courier.h \
	%D%/dial.c %D%/dial.h \
	%D%/dns.c %D%/dns.h \
	%D%/ehlo.c %D%/ehlo.h \
	%D%/events.c %D%/events.h \
	%D%/expect.c %D%/expect.h \
	%D%/ip.c %D%/ip.h \
	%D%/mx.c %D%/mx.h \
	%D%/resolve.c %D%/resolve.h \
	%D%/session.c %D%/session.h \
	%D%/session_hear.c \
	%D%/session_speak.c \
	%D%/session_state.h \
	%D%/transaction.c %D%/transaction.h \
	%D%/transport.c %D%/transport.h
