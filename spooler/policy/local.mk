# L2: what is decided. Pure: no I/O, the time is an argument.

noinst_LIBRARIES += %D%/libpolicy.a
%C%_libpolicy_a_SOURCES = \
	%D%/down.c %D%/down.h \
	%D%/hint.c %D%/hint.h \
	%D%/judge.c %D%/judge.h \
	%D%/limit.c %D%/limit.h \
	%D%/plan.c %D%/plan.h \
	%D%/provider.c %D%/provider.h \
	%D%/route.c %D%/route.h \
	%D%/rules.c %D%/rules.h \
	%D%/site.c %D%/site.h \
	%D%/site_memory.c \
	%D%/site_state.h \
	%D%/site_trouble.c \
	%D%/words.c %D%/words.h
