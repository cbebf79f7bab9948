# L1: what both sides of the spool agree on.

noinst_LIBRARIES += %D%/libcommon.a
%C%_libcommon_a_SOURCES = \
	%D%/address.c %D%/address.h \
	%D%/buf.c %D%/buf.h \
	%D%/cause.c %D%/cause.h \
	%D%/clock.c %D%/clock.h \
	%D%/config.c %D%/config.h \
	%D%/config_keys.c %D%/config_keys.h \
	%D%/config_values.c %D%/config_values.h \
	%D%/draft.c \
	%D%/envelope.c %D%/envelope.h \
	%D%/err.c %D%/err.h \
	%D%/identity.c %D%/identity.h \
	%D%/listing.c %D%/listing.h \
	%D%/log.c %D%/log.h \
	%D%/mime.c %D%/mime.h \
	%D%/mime_code.c %D%/mime_code.h \
	%D%/mime_plan.c %D%/mime_plan.h \
	%D%/mime_type.c %D%/mime_type.h \
	%D%/msgid.c %D%/msgid.h \
	%D%/owner.c %D%/owner.h \
	%D%/reply.c %D%/reply.h \
	%D%/rfc5322.c %D%/rfc5322.h \
	%D%/spool.c %D%/spool.h \
	%D%/spool_internal.h \
	%D%/spool_make.c \
	%D%/trail.c %D%/trail.h \
	%D%/utf8.c %D%/utf8.h
