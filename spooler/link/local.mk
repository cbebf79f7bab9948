# L2: what keeper and courier say to each other.

noinst_LIBRARIES += %D%/liblink.a
%C%_liblink_a_SOURCES = \
	%D%/channel.c %D%/channel.h \
	%D%/wire.c %D%/wire.h
