/* cause, phase, fate: the words that judge, trail, queue names, link and log
 * share. Each has a name (as in the trail and the log); a cause has a letter
 * too (as in queue names). */
#ifndef ABIDE_COMMON_CAUSE_H
#define ABIDE_COMMON_CAUSE_H

#include <stdbool.h>

/* Why a recipient waits or failed. The letters are part of the spool's format. */
enum cause {
    CAUSE_NONE,                         /* n  new: nothing was tried */
    CAUSE_TOO_MANY_CONNECTIONS,         /* c */
    CAUSE_RATE_LIMITED,                 /* r */
    CAUSE_TOO_MANY_PER_CONNECTION,      /* m */
    CAUSE_TOO_MANY_RECIPIENTS,          /* t */
    CAUSE_GREYLISTED,                   /* g */
    CAUSE_CONGESTION,                   /* s  server overloaded, broken, in maintenance */
    CAUSE_REPUTATION,                   /* p */
    CAUSE_AUTH_POLICY,                  /* a  SPF, DKIM, PTR, TLS asked for, for now */
    CAUSE_MAILBOX_FULL,                 /* b  box full */
    CAUSE_MAILBOX_BUSY,                 /* y */
    CAUSE_DNS_TEMP,                     /* d  they, or we, could not resolve */
    CAUSE_CONTENT_TEMP,                 /* v */
    CAUSE_UNREACHABLE,                  /* u  no connection: refused, timed out, reset */
    CAUSE_LOCAL,                        /* l  trouble of our own: no network, no route, no resolver */
    CAUSE_IN_DOUBT,                     /* i  the final dot had left, no reply came */
    CAUSE_UNKNOWN_TEMP,                 /* x */
    CAUSE_NO_ROUTE,                     /* o  local mail with nowhere to go */
    CAUSE_FROZEN,                       /* h  held by the administrator */
    CAUSE_PERM_MAILBOX,                 /* permanent from here on: no letters needed, all are 'f' */
    CAUSE_PERM_POLICY,
    CAUSE_PERM_REPUTATION,
    CAUSE_PERM_CONTENT,
    CAUSE_PERM_SIZE,
    CAUSE_PERM_AUTH,
    CAUSE_PERM_OTHER,
    CAUSE_COUNT
};

/* Where in the conversation. */
enum phase {
    PHASE_DNS, PHASE_CONNECT, PHASE_BANNER, PHASE_EHLO, PHASE_MAIL, PHASE_RCPT,
    PHASE_DATA, PHASE_BODY, PHASE_EOM, PHASE_IDLE, PHASE_QUIT, PHASE_COUNT
};

const char *cause_name(enum cause);     /* "too_many_connections"; CAUSE_NONE is "new" */
char cause_letter(enum cause);
bool cause_from_name(const char *, enum cause *);
bool cause_from_letter(char, enum cause *);    /* not for 'f' */
bool cause_permanent(enum cause);

const char *phase_name(enum phase);     /* "banner", "rcpt", "eom" ... */
bool phase_from_name(const char *, enum phase *);

#endif
