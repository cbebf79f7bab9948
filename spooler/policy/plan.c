/* plan: due times, warnings, the end. It knows recipients only by what the trail
 * has of them, sites only by what site.h tells; it must never read a clock, and
 * never plan sooner than a rule says: jitter goes upwards. Called by the keeper
 * when a recipient was deferred and when a name of the queue is looked at. */
#include <config.h>

#include "spooler/policy/plan.h"

#include <string.h>

#include "common/config.h"
#include "spooler/policy/judge.h"
#include "spooler/policy/site.h"

enum {
    SECOND = 1000,
    MINUTE = 60 * SECOND,
    HOUR = 60 * MINUTE,
    JITTER_MAX = 5 * MINUTE,
    HINT_MIN = 5 * SECOND,
    HINT_MAX = 6 * HOUR,
    GREY_JITTER = 8,                    /* seconds */
    GREY_GAP_MAX = 4 * HOUR,
    IN_DOUBT_MIN = 15 * MINUTE,         /* a second copy is worse than a late one */
    LAST_CALL_MIN = 60 * SECOND,        /* before the deadline ... */
    LAST_CALL_SPREAD = 110,             /* ... and up to so many seconds more */
    LAST_CALL_MAX = 180 * SECOND,       /* what was tried since then was the last call */
    OVERTIME_GAP = 2 * MINUTE,          /* between tries after it */
    SITE_ANSWER = 10 * MINUTE,          /* a site's refusal so old spares us the last call */
    LATE_ENOUGH = 30 * MINUTE,          /* an own answer so old spares a second one after the deadline */
    EVIDENCE_AGE = 4 * HOUR,
    HOLD_AFTER = 24 * HOUR,             /* beyond the deadline */
    WARN_AGAIN = 10 * MINUTE
};

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t seconds_up(int64_t ms)
{
    return (ms + SECOND - 1) / SECOND;
}

/* ---- the deadline ------------------------------------------------------------- */

static int64_t left_ms(const struct config *c, struct plan_age age)
{
    return c->lifetime_ms - age.ms;
}

/* The last call comes at most so long before the deadline; a lifetime of
 * minutes has it in its last tenth. */
static int64_t call_window(const struct config *c)
{
    return smaller(LAST_CALL_MAX, c->lifetime_ms / 10);
}

static int64_t call_lead(const struct config *c, uint32_t salt)
{
    return smaller(LAST_CALL_MIN + (int64_t)(salt % (LAST_CALL_SPREAD + 1)) * SECOND, call_window(c));
}

/* A due time in the window is the last call, since plan_defer() put it there;
 * for others it is spread by DUE, so that the answer is always the same. */
static int64_t call_time(const struct config *c, int64_t due, int64_t deadline_ms)
{
    int64_t ms = due * SECOND;

    if (ms >= deadline_ms - call_window(c) && ms < deadline_ms)
        return ms;
    return deadline_ms - call_lead(c, (uint32_t)due * 2654435761U >> 16);
}

/* ---- when next ------------------------------------------------------------------ */

static const int64_t mailbox_gaps[] = { 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR };
static const int64_t policy_gaps[] = { 15 * MINUTE, HOUR, 4 * HOUR };

static int64_t step(const int64_t *gaps, size_t count, unsigned n)
{
    return gaps[n > count ? count - 1 : n - 1];
}

/* The gap after the N-th deferral of one's own. */
static int64_t own_gap(const struct config *c, enum cause cause, unsigned n)
{
    int64_t gap = step(c->schedule_ms, c->nschedule, n);

    if (cause == CAUSE_MAILBOX_FULL)
        return step(mailbox_gaps, sizeof(mailbox_gaps) / sizeof(mailbox_gaps[0]), n);
    if (cause == CAUSE_AUTH_POLICY || cause_permanent(cause))
        return step(policy_gaps, sizeof(policy_gaps) / sizeof(policy_gaps[0]), n);
    return cause == CAUSE_IN_DOUBT ? larger(gap, IN_DOUBT_MIN) : gap;
}

/* A wish is followed; kept in vain again and again, it is doubled. */
static int64_t bounded_hint(int64_t hint_ms, unsigned n)
{
    unsigned doublings = n > 3 ? n - 3 : 0;

    return larger(HINT_MIN, smaller(HINT_MAX, smaller(hint_ms, HINT_MAX) << (doublings < 8 ? doublings : 8)));
}

static int64_t own_due(const struct config *c, const struct verdict *v, struct wall now, uint32_t random, unsigned n)
{
    int64_t gap = own_gap(c, v->cause, n);
    int64_t most = smaller(gap / 10, JITTER_MAX) / SECOND;

    if (v->hint_ms >= 0 && v->cause != CAUSE_IN_DOUBT)
        return seconds_up(now.ms + bounded_hint(v->hint_ms, n) + 3 * SECOND) + random % 4;
    return seconds_up(now.ms + gap) + random % (uint32_t)(most + 1);
}

/* ---- greylisting ------------------------------------------------------------------ */

/* Ages of a triplet at which a greylister is asked again. Gaps grow, so that
 * those who start anew at early knocking are passed; all lie inside four hours. */
static const int64_t grey_ages[] = { 305, 905, 1805, 3060, 4200, 6000, 8400, 11400, 14100 };
enum { GREY_AGES = sizeof(grey_ages) / sizeof(grey_ages[0]) };

static int64_t next_grey_age(const struct site *s, int64_t age_ms)
{
    int64_t hi = site_grey_hi_ms(s), beyond = larger(age_ms, site_grey_lo_ms(s)) + 5 * SECOND;

    if (hi > age_ms + 5 * SECOND)
        return hi + 3 * SECOND;
    for (size_t i = 0; i < GREY_AGES; i++)
        if (grey_ages[i] * SECOND > beyond)
            return grey_ages[i] * SECOND;
    return age_ms + larger(HOUR, age_ms / 3);
}

static int64_t grey_due(const struct site *s, const struct verdict *v, struct wall sent, struct wall now, uint32_t random,
                        const struct trail_rcpt *r)
{
    int64_t age = larger(0, sent.ms - r->grey.ms), wait;

    if (v->hint_ms >= 0 && r->grey_n <= 2) {
        /* A long wait is believed step by step. */
        wait = smaller(v->hint_ms + v->hint_ms / 100 + 2 * SECOND, smaller((int64_t)HOUR << (r->grey_n - 1), HINT_MAX));
        return seconds_up(now.ms + larger(wait, HINT_MIN)) + random % 4;
    }
    wait = r->grey.ms + next_grey_age(s, age) - now.ms;
    if (wait <= 5 * SECOND)
        wait = larger(MINUTE, age / 2);
    return seconds_up(now.ms + smaller(wait, GREY_GAP_MAX)) + random % (GREY_JITTER + 1);
}

/* It counts as an answer only if we had come when we were told to, or as late
 * as greylisters let in: an early knock proves nothing. */
static bool window_was_met(const struct trail_rcpt *r, struct wall sent)
{
    return r->cause == CAUSE_GREYLISTED && r->due > 0 && sent.ms >= r->due * SECOND && sent.ms - r->grey.ms >= grey_ages[0] * SECOND;
}

/* ---- deferral ----------------------------------------------------------------------- */

static void note_answer(struct trail_rcpt *r, struct wall now)
{
    if (r->first.ms == 0)
        r->first = now;
    r->last = now;
}

static int64_t defer_grey(const struct site *s, const struct verdict *v, const char *host, struct wall sent, struct wall now,
                          uint32_t random, struct trail_rcpt *r)
{
    if (r->grey.ms == 0) {
        r->grey = now;                  /* its window opened when it saw us: after SENT in a slow session, never after the answer */
        r->grey_n = 0;
    } else if (window_was_met(r, sent)) {
        note_answer(r, now);
    }
    r->grey_n++;
    strlcpy(r->host, host, sizeof(r->host));
    return grey_due(s, v, sent, now, random, r);
}

static int64_t defer_own(const struct config *c, const struct verdict *v, struct wall now, uint32_t random, struct trail_rcpt *r)
{
    r->n++;
    r->grey = (struct wall){ 0 };
    r->grey_n = 0;
    r->host[0] = '\0';
    note_answer(r, now);
    return own_due(c, v, now, random, r->n);
}

/* The deadline draws the due time near: to the last call, then to itself, then
 * to a try every two minutes. What greylists, or may have it already, is not
 * hurried beyond the deadline. */
static int64_t bend(const struct config *c, enum cause cause, struct plan_age age, struct wall now, uint32_t random, int64_t due)
{
    int64_t left = left_ms(c, age);

    if (left > call_window(c))
        return smaller(due, (now.ms + left - call_lead(c, random >> 8)) / SECOND);
    if (left > 0)
        return smaller(due, (now.ms + left) / SECOND);
    if (cause == CAUSE_GREYLISTED || cause == CAUSE_IN_DOUBT)
        return due;
    return smaller(due, seconds_up(now.ms + OVERTIME_GAP));
}

void plan_defer(const struct config *c, const struct site *s, const struct verdict *v, const char *host, struct plan_age age,
                struct wall sent, struct now now, uint32_t random, struct trail_rcpt *r)
{
    int64_t due;

    r->fate = FATE_OWED;
    if (v->cause == CAUSE_GREYLISTED)
        due = defer_grey(s, v, host, sent, now.wall, random, r);
    else
        due = defer_own(c, v, now.wall, random, r);
    r->cause = v->cause;
    r->due = bend(c, v->cause, age, now.wall, random, due);
}

/* ---- what now ------------------------------------------------------------------------ */

/* Real answers of the recipient and of the site it waits behind, together. */
struct evidence { int64_t first, last; };

static struct evidence gather(const struct trail_rcpt *r, const struct plan_site_word *w, int64_t accepted_ms)
{
    struct evidence e = { r->first.ms, r->last.ms };

    if (w->last.ms != 0 && w->last.ms >= accepted_ms) {
        int64_t first = larger(w->first.ms, accepted_ms);

        e.first = e.first == 0 ? first : smaller(e.first, first);
        e.last = larger(e.last, w->last.ms);
    }
    return e;
}

static bool evidence_stands(const struct config *c, const struct evidence *e, struct wall now)
{
    return e->last != 0 && e->last - e->first >= c->schedule_ms[0] && now.ms - e->last < EVIDENCE_AGE;
}

/* Was the end of its time used for a try? In passes the last minutes may have
 * had none, and an older answer does not do. */
static bool was_called(const struct trail_rcpt *r, const struct plan_site_word *w, bool once, int64_t deadline_ms)
{
    return r->last.ms >= deadline_ms - (once ? LAST_CALL_MAX : LATE_ENOUGH) || w->last.ms >= deadline_ms - LAST_CALL_MAX - SITE_ANSWER;
}

static enum plan_act wait_until(int64_t ms, int64_t *when_r)
{
    *when_r = seconds_up(ms);
    return PLAN_WAIT;
}

static enum plan_act in_overtime(const struct config *c, const struct trail_rcpt *r, int64_t due_ms, int64_t deadline_ms,
                                 const struct plan_site_word *w, bool once, struct wall now, int64_t *when_r)
{
    struct evidence e = gather(r, w, deadline_ms - c->lifetime_ms);

    if (evidence_stands(c, &e, now) && was_called(r, w, once, deadline_ms))
        return PLAN_BOUNCE;
    if (now.ms >= deadline_ms + HOLD_AFTER)
        return PLAN_HOLD;
    if (due_ms > now.ms && (due_ms <= now.ms + OVERTIME_GAP || r->cause == CAUSE_GREYLISTED || r->cause == CAUSE_IN_DOUBT))
        return wait_until(smaller(due_ms, deadline_ms + HOLD_AFTER), when_r);
    if (w->paused && now.ms - w->last.ms < OVERTIME_GAP)
        return wait_until(w->last.ms + OVERTIME_GAP, when_r);
    return PLAN_TRY;
}

enum plan_act plan_next(const struct config *c, const struct trail_rcpt *r, int64_t due, struct plan_age age,
                        const struct plan_site_word *w, bool once, struct now now, int64_t *when_r)
{
    int64_t due_s = r->due != 0 ? r->due : due, due_ms = due_s * SECOND;
    int64_t deadline = now.wall.ms + left_ms(c, age);
    int64_t call = call_time(c, due_s, deadline);

    *when_r = 0;
    if (now.wall.ms >= deadline)
        return in_overtime(c, r, due_ms, deadline, w, once, now.wall, when_r);
    if (r->last.ms >= deadline - call_window(c) || (now.wall.ms >= call && now.wall.ms - w->last.ms < SITE_ANSWER))
        return wait_until(deadline, when_r);
    if (now.wall.ms >= call || (!w->paused && now.wall.ms >= due_ms))
        return PLAN_TRY;
    return wait_until(w->paused ? call : smaller(due_ms, call), when_r);
}

/* ---- warning --------------------------------------------------------------------------- */

bool plan_warns(const struct config *c, struct plan_age age, bool warned, bool has_sender, const struct trail_rcpt *r,
                const struct plan_site_word *w)
{
    if (warned || !has_sender || c->warn_after_ms == 0 || age.ms < c->warn_after_ms || left_ms(c, age) <= 0)
        return false;
    return r->last.ms != 0 || r->grey.ms != 0 || w->last.ms != 0;
}

int64_t plan_attention(const struct config *c, struct plan_age age, bool warned, struct now now)
{
    int64_t left = left_ms(c, age), call = left - call_window(c), next;

    next = call > 0 ? call : left > 0 ? left : OVERTIME_GAP;
    if (!warned && c->warn_after_ms > 0 && left > 0)
        next = smaller(next, age.ms < c->warn_after_ms ? c->warn_after_ms - age.ms : WARN_AGAIN);
    return seconds_up(now.wall.ms + next);
}

int64_t plan_longest_ms(const struct config *c)
{
    int64_t longest = HINT_MAX;

    for (size_t i = 0; i < c->nschedule; i++)
        longest = larger(longest, c->schedule_ms[i]);
    return longest;
}
