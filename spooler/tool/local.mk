# L4: the administrator's tool, one file a verb.

noinst_LIBRARIES += %D%/libverbs.a
%C%_libverbs_a_SOURCES =
