/* judge: a reply in, its cause, scope and hint out. Pure. The rules are data
 * (rules.c), tried in order. Finality follows the code's class; the cause
 * follows the text; the provider counts as evidence. */
#ifndef ABIDE_POLICY_JUDGE_H
#define ABIDE_POLICY_JUDGE_H

#include <stdbool.h>
#include <stdint.h>
#include "common/cause.h"
#include "common/clock.h"
#include "common/reply.h"

/* The widest thing the reply speaks about. */
enum scope {
    SCOPE_CONNECTION, SCOPE_SOURCE_IP, SCOPE_PROVIDER, SCOPE_HOST,
    SCOPE_SENDER, SCOPE_RECIPIENT, SCOPE_TRIPLET, SCOPE_MESSAGE
};

struct verdict {
    enum cause cause;
    enum scope scope;
    bool final;                         /* 5yz: this recipient is lost */
    int64_t hint_ms;                    /* how long it asks us to wait; -1: it does not say */
    const char *rule;                   /* which rule said so, for people; static */
    enum phase phase;                   /* as given */
    bool closes;                        /* 421, or no reply at all: the connection is gone */
};

/* PHASE_COUNT: the phase is not known. PROVIDER as site_provider() gives it ("generic" for none). NOW turns stated
 * dates into waits. */
void judge_reply(const struct reply *, enum phase, const char *provider, struct wall now, struct verdict *);

/* True for what is the site's trouble, never the message's: scopes connection,
 * source address, provider, host. Behind RCPT only throttles and what closes
 * the connection count as such: there, other words may mean this message alone.
 * A greylisting blames the site only where no message was named yet. */
bool judge_blames_site(const struct verdict *);

const char *scope_name(enum scope);

#endif
