# L4: the front. All but main is linkable by tests.

noinst_LIBRARIES += %D%/libfront.a
%C%_libfront_a_SOURCES = \
	%D%/addrlist.c %D%/addrlist.h \
	%D%/follow.c %D%/follow.h \
	%D%/header.c %D%/header.h \
	%D%/interrupt.c %D%/interrupt.h \
	%D%/mailq.c %D%/mailq.h \
	%D%/message.c %D%/message.h \
	%D%/options.c %D%/options.h \
	%D%/privilege.c %D%/privilege.h \
	%D%/recipients.c %D%/recipients.h \
	%D%/report.c %D%/report.h \
	%D%/say.c %D%/say.h \
	%D%/starter.c %D%/starter.h \
	%D%/submit.c %D%/submit.h \
	%D%/text.c %D%/text.h

sbin_PROGRAMS += %D%/sendmail
%C%_sendmail_SOURCES = %D%/main.c
%C%_sendmail_LDADD = %D%/libfront.a common/libcommon.a compat/libcompat.a $(FRONT_LIBS)

# The other names under which programs call it.
front_names = mailq newaliases

install-exec-hook:
	$(MKDIR_P) '$(DESTDIR)$(bindir)'
	for n in $(front_names); do \
	  rm -f '$(DESTDIR)$(bindir)'/$$n && $(LN_S) '$(sbindir)/sendmail' '$(DESTDIR)$(bindir)'/$$n || exit 1; \
	done

uninstall-hook:
	for n in $(front_names); do rm -f '$(DESTDIR)$(bindir)'/$$n; done
