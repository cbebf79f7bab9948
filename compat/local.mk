# L0: what libc or libbsd lacks on some platform; configure picks the files (LIBOBJS).

noinst_LIBRARIES += %D%/libcompat.a
%C%_libcompat_a_SOURCES = %D%/compat.h
%C%_libcompat_a_LIBADD = $(LIBOBJS)
