/* judge: walks the tables of rules.c. It holds no wording itself and must never
 * call anything final but what the code's class makes final. Called by the
 * keeper for every reply that is not a success, and by `abide explain`. */
#include <config.h>

#include "spooler/policy/judge.h"

#include <string.h>

#include "spooler/policy/hint.h"
#include "spooler/policy/rules.h"
#include "spooler/policy/words.h"

/* A reply as the rules look at it. */
struct view {
    const struct reply *reply;
    enum phase phase;
    const char *provider;
    const char *enh;                    /* behind the class: ".7.28"; "" for none */
    struct words plain, whole;          /* without URLs, with them */
};

/* Behind the class. RFC 2034 puts it in front; some write "(#4.4.5)" at the end
 * or a word before. A version number ("4.16.50") is none. */
static const char *find_status(const struct reply *r, char out[REPLY_ENH_MAX])
{
    const char class = (char)('0' + r->code / 100);
    const char *p = r->enh[0] != '\0' ? r->enh : r->text;

    for (; (p = strchr(p, class)) != NULL; p++)
        if (p[1] == '.' && p[2] >= '0' && p[2] <= '7' && p[3] == '.' && p[4] >= '0' && p[4] <= '9' &&
            (p == r->enh || p == r->text || strchr("0123456789.", p[-1]) == NULL))
            break;
    out[0] = '\0';
    if (p != NULL)
        strncat(out, p + 1, REPLY_ENH_MAX - 1);
    out[strspn(out, ".0123456789")] = '\0';
    return out;
}

static bool in_list(const char *list, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = list; (p = strstr(p, name)) != NULL; p++)
        if (p > list && p[-1] == ' ' && p[n] == ' ')
            return true;
    return false;
}

static bool status_fits(const char *pattern, const char *enh)
{
    size_t n = strlen(pattern);

    if (pattern[n - 1] == '*')
        return strncmp(pattern, enh, n - 1) == 0;
    return strcmp(pattern, enh) == 0;
}

static bool rule_fits(const struct rule *r, const struct view *v)
{
    if (r->codes != 0 && r->codes != v->reply->code && r->codes != v->reply->code / 100)
        return false;
    if (r->phases != 0 && (r->phases & 1U << v->phase) == 0)
        return false;
    if (r->enh != NULL && !status_fits(r->enh, v->enh))
        return false;
    if (r->provider != NULL && !in_list(r->provider, v->provider))
        return false;
    if (r->text != NULL && !words_match(r->urls ? &v->whole : &v->plain, r->text))
        return false;
    return r->unless == NULL || !words_match(&v->plain, r->unless);
}

static bool causes_hold(const struct scope_rule *r, enum cause cause)
{
    for (size_t i = 0; i < sizeof(r->causes) / sizeof(r->causes[0]) && r->causes[i] != CAUSE_NONE; i++)
        if (r->causes[i] == cause)
            return true;
    return false;
}

static enum scope find_scope(const struct view *v, enum cause cause, enum scope otherwise)
{
    for (size_t i = 0; i < scope_rules_count; i++) {
        const struct scope_rule *r = &scope_rules[i];

        if (!causes_hold(r, cause) || (r->phases != 0 && (r->phases & 1U << v->phase) == 0))
            continue;
        if (r->provider != NULL && !in_list(r->provider, v->provider))
            continue;
        if (r->text != NULL && !words_match(&v->plain, r->text))
            continue;
        if (r->unless == NULL || !words_match(&v->plain, r->unless))
            return r->scope;
    }
    return otherwise;
}

/* The connection ended without a word. */
static void judge_silence(enum phase phase, struct verdict *out)
{
    out->hint_ms = -1;
    out->scope = SCOPE_HOST;
    if (phase == PHASE_DNS) {
        out->cause = CAUSE_DNS_TEMP;
        out->scope = SCOPE_RECIPIENT;
        out->rule = "no answer from the DNS";
    } else if (phase <= PHASE_EHLO) {
        out->cause = CAUSE_UNREACHABLE;
        out->rule = "no connection";
    } else if (phase == PHASE_EOM) {
        out->cause = CAUSE_IN_DOUBT;
        out->scope = SCOPE_MESSAGE;
        out->rule = "no answer to the final dot";
    } else {
        out->cause = CAUSE_CONGESTION;
        out->rule = "the connection was lost";
    }
}

void judge_reply(const struct reply *reply, enum phase phase, const char *provider, struct wall now, struct verdict *out)
{
    char status[REPLY_ENH_MAX];
    struct view v = { .reply = reply, .phase = phase, .provider = provider };
    const struct rule *r = rules;

    *out = (struct verdict){ .phase = phase, .closes = reply->code == 421 || reply->code == 0 };
    if (reply->code == 0) {
        judge_silence(phase, out);
        return;
    }
    v.enh = find_status(reply, status);
    words_split(reply->text, false, &v.plain);
    words_split(reply->text, true, &v.whole);
    while (r < rules + rules_count - 1 && !rule_fits(r, &v))
        r++;
    out->final = reply->code >= 500;
    out->cause = out->final && r->cause_5yz != CAUSE_NONE ? r->cause_5yz : r->cause;
    out->scope = find_scope(&v, out->cause, r->scope);
    out->hint_ms = hint_find(reply->text, now);
    out->rule = r->name;
}

static bool is_throttle(enum cause c)
{
    return c == CAUSE_TOO_MANY_CONNECTIONS || c == CAUSE_RATE_LIMITED || c == CAUSE_TOO_MANY_PER_CONNECTION ||
           c == CAUSE_REPUTATION || c == CAUSE_UNREACHABLE || c == CAUSE_LOCAL;
}

/* Once a message is at stake, words like "try again later" or "local problem"
 * speak of the server but may mean this message alone: only throttles, and
 * what ends the connection, are then believed to be the site's. */
bool judge_blames_site(const struct verdict *v)
{
    if (v->scope > SCOPE_HOST)
        return false;
    if (v->phase < PHASE_MAIL || v->phase >= PHASE_IDLE || is_throttle(v->cause))
        return true;
    if (v->cause == CAUSE_GREYLISTED)
        return false;
    return v->closes || v->phase == PHASE_MAIL;
}

const char *scope_name(enum scope s)
{
    static const char *const names[] = {
        [SCOPE_CONNECTION] = "connection", [SCOPE_SOURCE_IP] = "source_ip", [SCOPE_PROVIDER] = "provider",
        [SCOPE_HOST] = "host", [SCOPE_SENDER] = "sender", [SCOPE_RECIPIENT] = "recipient",
        [SCOPE_TRIPLET] = "triplet", [SCOPE_MESSAGE] = "message",
    };

    return (size_t)s < sizeof(names) / sizeof(names[0]) ? names[s] : "message";
}
