# L4: the spooler and the administrator's tool.

sbin_PROGRAMS += %D%/abided
%C%_abided_SOURCES = %D%/abided.c %D%/lock.c %D%/lock.h %D%/run.c %D%/run.h %D%/spawn.c %D%/spawn.h
%C%_abided_LDADD = %D%/keeper/libkeeper.a %D%/courier/libcourier.a %D%/link/liblink.a %D%/policy/libpolicy.a \
	common/libcommon.a compat/libcompat.a $(LIBEVENT_LIBS) $(LIBCARES_LIBS) $(LIBIDN2_LIBS) $(LIBBSD_LIBS)

bin_PROGRAMS += %D%/abide
%C%_abide_SOURCES = %D%/abide.c
%C%_abide_LDADD = %D%/tool/libverbs.a %D%/policy/libpolicy.a common/libcommon.a compat/libcompat.a $(LIBIDN2_LIBS) $(LIBBSD_LIBS)
