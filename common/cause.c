/* cause: names and letters of causes and phases. The letters are part of the
 * spool's format (queue names), the names of the trail's: neither may ever
 * change its meaning. Pure; called by all that reads or writes either. */
#include <config.h>

#include "common/cause.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *name;
    char letter;
} causes[CAUSE_COUNT] = {
    [CAUSE_NONE] = { "new", 'n' },
    [CAUSE_TOO_MANY_CONNECTIONS] = { "too_many_connections", 'c' },
    [CAUSE_RATE_LIMITED] = { "rate_limited", 'r' },
    [CAUSE_TOO_MANY_PER_CONNECTION] = { "too_many_per_connection", 'm' },
    [CAUSE_TOO_MANY_RECIPIENTS] = { "too_many_recipients", 't' },
    [CAUSE_GREYLISTED] = { "greylisted", 'g' },
    [CAUSE_CONGESTION] = { "congestion", 's' },
    [CAUSE_REPUTATION] = { "reputation", 'p' },
    [CAUSE_AUTH_POLICY] = { "auth_policy", 'a' },
    [CAUSE_MAILBOX_FULL] = { "mailbox_full", 'b' },
    [CAUSE_MAILBOX_BUSY] = { "mailbox_busy", 'y' },
    [CAUSE_DNS_TEMP] = { "dns_temp", 'd' },
    [CAUSE_CONTENT_TEMP] = { "content_temp", 'v' },
    [CAUSE_UNREACHABLE] = { "unreachable", 'u' },
    [CAUSE_LOCAL] = { "local", 'l' },
    [CAUSE_IN_DOUBT] = { "in_doubt", 'i' },
    [CAUSE_UNKNOWN_TEMP] = { "unknown_temp", 'x' },
    [CAUSE_NO_ROUTE] = { "no_route", 'o' },
    [CAUSE_FROZEN] = { "frozen", 'h' },
    [CAUSE_PERM_MAILBOX] = { "perm_mailbox", 'f' },
    [CAUSE_PERM_POLICY] = { "perm_policy", 'f' },
    [CAUSE_PERM_REPUTATION] = { "perm_reputation", 'f' },
    [CAUSE_PERM_CONTENT] = { "perm_content", 'f' },
    [CAUSE_PERM_SIZE] = { "perm_size", 'f' },
    [CAUSE_PERM_AUTH] = { "perm_auth", 'f' },
    [CAUSE_PERM_OTHER] = { "perm_other", 'f' },
};

static const char *const phases[PHASE_COUNT] = {
    [PHASE_DNS] = "dns",   [PHASE_CONNECT] = "connect", [PHASE_BANNER] = "banner",
    [PHASE_EHLO] = "ehlo", [PHASE_MAIL] = "mail",       [PHASE_RCPT] = "rcpt",
    [PHASE_DATA] = "data", [PHASE_BODY] = "body",       [PHASE_EOM] = "eom",
    [PHASE_IDLE] = "idle", [PHASE_QUIT] = "quit",
};

/* A value out of range can only be a slip of ours; it must not read wild. */
static enum cause cause_sane(enum cause c)
{
    return (unsigned)c < CAUSE_COUNT ? c : CAUSE_UNKNOWN_TEMP;
}

const char *cause_name(enum cause c)
{
    return causes[cause_sane(c)].name;
}

char cause_letter(enum cause c)
{
    return causes[cause_sane(c)].letter;
}

bool cause_permanent(enum cause c)
{
    return cause_letter(c) == 'f';
}

bool cause_from_name(const char *name, enum cause *cause_r)
{
    for (unsigned i = 0; i < CAUSE_COUNT; i++) {
        if (strcmp(causes[i].name, name) == 0) {
            *cause_r = (enum cause)i;
            return true;
        }
    }
    return false;
}

bool cause_from_letter(char letter, enum cause *cause_r)
{
    for (unsigned i = 0; i < CAUSE_PERM_MAILBOX; i++) {
        if (causes[i].letter == letter) {
            *cause_r = (enum cause)i;
            return true;
        }
    }
    return false;
}

const char *phase_name(enum phase p)
{
    return (unsigned)p < PHASE_COUNT ? phases[p] : "unknown";
}

bool phase_from_name(const char *name, enum phase *phase_r)
{
    for (unsigned i = 0; i < PHASE_COUNT; i++) {
        if (strcmp(phases[i], name) == 0) {
            *phase_r = (enum phase)i;
            return true;
        }
    }
    return false;
}
