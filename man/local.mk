# Manual pages, mdoc.

dist_man_MANS += \
	%D%/abide.1 \
	%D%/abide.conf.5 \
	%D%/abide-spool.5 \
	%D%/abided.8 \
	%D%/sendmail.8
