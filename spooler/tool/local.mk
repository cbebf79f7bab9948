# L4: the administrator's tool, one file a verb.

noinst_LIBRARIES += %D%/libverbs.a
%C%_libverbs_a_SOURCES = \
	%D%/act.c %D%/act.h \
	%D%/list.c %D%/list.h \
	%D%/mark.c %D%/mark.h \
	%D%/names.c %D%/names.h \
	%D%/queue.c %D%/queue.h \
	%D%/tool.c %D%/tool.h \
	%D%/unfiled.c %D%/unfiled.h \
	%D%/what.c %D%/what.h
