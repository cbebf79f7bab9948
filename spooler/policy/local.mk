# L2: what is decided. Pure: no I/O, the time is an argument.

noinst_LIBRARIES += %D%/libpolicy.a
%C%_libpolicy_a_SOURCES = \
	%D%/hint.c %D%/hint.h \
	%D%/judge.c %D%/judge.h \
	%D%/plan.h \
	%D%/provider.c %D%/provider.h \
	%D%/route.c %D%/route.h \
	%D%/rules.c %D%/rules.h \
	%D%/site.h \
	%D%/words.c %D%/words.h
