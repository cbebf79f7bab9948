/* submit: the order of acts of one submission. The door is tried before stdin
 * is read; the envelope and the header are written when both are known, the
 * body streams behind them; then commit, and only then the spooler is told.
 * Whatever fails before the commit leaves nothing. Called by main. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "common/address.h"
#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"
#include "common/identity.h"
#include "common/spool.h"
#include "sendmail/addrlist.h"
#include "sendmail/follow.h"
#include "sendmail/header.h"
#include "sendmail/interrupt.h"
#include "sendmail/message.h"
#include "sendmail/options.h"
#include "sendmail/privilege.h"
#include "sendmail/recipients.h"
#include "sendmail/report.h"
#include "sendmail/starter.h"
#include "sendmail/submit.h"
#include "sendmail/text.h"

enum {
    RECEIVED_MAX = 100,                 /* RFC 5321 6.3 */
    DRAIN_IDLE_MS = 60 * 1000,
    DRAIN_AFTER_DOT_MS = 5 * 1000,
    FULL_NAME_SIZE = 129,
    USER_SIZE = 257,
    DAY_MS = 24 * 60 * 60 * 1000
};

struct submission {
    const struct submit_facts *facts;
    struct identity identity;
    char user[USER_SIZE];
    char full_name[FULL_NAME_SIZE];
    char own_address[ADDRESS_MAX];      /* of the caller */
    struct spool *spool;
    struct draft *draft;
    struct message *message;
    struct envelope env;
    struct recipients rcpt;
    struct buf header;                  /* completed */
    struct text text;
    struct now now;
};

/* ---- who sends --------------------------------------------------------- */

/* Cut between characters (UTF-8). */
static void set_full_name(struct submission *s, const char *name)
{
    size_t len = strlcpy(s->full_name, name, FULL_NAME_SIZE);

    if (len < FULL_NAME_SIZE)
        return;
    for (len = FULL_NAME_SIZE - 1; len > 0 && ((unsigned char)name[len] & 0xc0) == 0x80; len--)
        continue;
    s->full_name[len] = '\0';
}

static int qualify(const struct submission *s, const char *address, char out[ADDRESS_MAX])
{
    if (address[0] == '\0' || address_domain(address) != NULL)
        return strlcpy(out, address, ADDRESS_MAX) < ADDRESS_MAX ? 0 : -1;
    return snprintf(out, ADDRESS_MAX, "%s@%s", address, s->identity.domain) < ADDRESS_MAX ? 0 : -1;
}

static int set_own_address(struct submission *s, struct err *e)
{
    char address[ADDRESS_MAX];

    if (address_parse(s->user, strlen(s->user), address, NULL) != 0)
        (void)snprintf(address, sizeof(address), "uid%ju", (uintmax_t)s->facts->privilege->uid);
    return qualify(s, address, s->own_address) == 0 ? 0 : err_set(e, EX_SOFTWARE, "our domain is too long");
}

/* A path, which may be null, or a mailbox with a name. -f '' is an old way to
 * write -f '<>'. */
static int given_sender(const struct submission *s, char out[ADDRESS_MAX], struct err *e)
{
    const char *given = s->facts->opt->sender;
    char address[ADDRESS_MAX] = "";

    if (given[strspn(given, " ")] != '\0' && address_parse(given, strlen(given), address, NULL) != 0 &&
        !addrlist_one(given, address))
        return err_set(e, EX_USAGE, "bad sender address \"%.200s\"", given);
    return qualify(s, address, out) == 0 ? 0 : err_set(e, EX_USAGE, "the sender is too long");
}

/* The full name of the caller goes with his own address, not with one he gave. */
static int set_sender(struct submission *s, struct err *e)
{
    const struct options *opt = s->facts->opt;
    char sender[ADDRESS_MAX], gecos[FULL_NAME_SIZE];

    identity_find(s->facts->config, &s->identity);
    identity_user(s->facts->privilege->uid, s->user, sizeof(s->user), gecos, sizeof(gecos));
    if (set_own_address(s, e) != 0)
        return -1;
    (void)strlcpy(sender, s->own_address, sizeof(sender));
    if (opt->sender != NULL && given_sender(s, sender, e) != 0)
        return -1;
    if (opt->full_name != NULL)
        set_full_name(s, opt->full_name);
    else if (sender[0] == '\0' || address_equal(sender, s->own_address))
        set_full_name(s, gecos);
    s->env.uid = s->facts->privilege->uid;
    s->env.user = strdup(s->user);
    s->env.protocol = strdup("local");
    s->env.sender = strdup(sender);
    if (s->env.user == NULL || s->env.protocol == NULL || s->env.sender == NULL)
        return err_sys(e, EX_TEMPFAIL, "begin a message");
    return 0;
}

/* ---- the door ---------------------------------------------------------- */

static bool no_new_privileges(void)
{
#ifdef PR_GET_NO_NEW_PRIVS
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
#else
    return false;
#endif
}

static const char *cure(int sys)
{
    if (sys == ENOENT)
        return "abided makes it when it is started by root";
    if (sys == EROFS)
        return "its file system is read-only";
    if (no_new_privileges())
        return "no_new_privs (NoNewPrivileges=, allowPrivilegeEscalation) keeps this process from the group abide-drop";
    return "as root: chgrp abide-drop " ABIDE_SBINDIR "/sendmail && chmod 2755 " ABIDE_SBINDIR "/sendmail";
}

/* The caller may try again when somebody has mended it. */
static int explain_door(struct err *e)
{
    struct err why = *e;

    if (e->class != EX_NOPERM)
        return -1;
    return err_set(e, EX_TEMPFAIL, "%.300s: %s", why.text, cure(why.sys));
}

/* A private spool that is not there yet is made: no set-up is needed. */
static int open_door(struct submission *s, struct err *e)
{
    const struct config *c = s->facts->config;
    int r;

    if (spool_open(c->spool, &s->spool, e) != 0)
        return -1;
    interrupt_hold();
    r = draft_new(s->spool, s->now, c->min_free, &s->draft, e);
    if (r != 0 && e->class == EX_NOPERM && e->sys == ENOENT && !s->facts->privilege->elevated &&
        spool_make(c->spool, NULL) == 0)
        r = draft_new(s->spool, s->now, c->min_free, &s->draft, e);
    interrupt_watch(s->draft);
    return r == 0 ? 0 : explain_door(e);
}

/* ---- the message ------------------------------------------------------- */

static int read_header(struct submission *s, struct err *e)
{
    const struct options *opt = s->facts->opt;
    struct message_options m = {
        .fd = STDIN_FILENO, .dot_ends = !opt->dot_is_text, .max_bytes = s->facts->config->max_size
    };

    s->message = message_new(&m);
    if (s->message == NULL)
        return err_sys(e, EX_TEMPFAIL, "read the message");
    return message_read_header(s->message, e);
}

static int find_recipients(struct submission *s, const char *header, size_t len, struct err *e)
{
    const struct options *opt = s->facts->opt;
    const struct recipients_rules rules = {
        .domain = s->identity.domain, .hostname = s->identity.hostname, .root = s->facts->config->root,
        .from_header = opt->from_header, .subtract = opt->subtract, .max = s->facts->config->max_recipients
    };

    return recipients_collect(&rules, opt->arg, opt->narg, header, len, &s->env, &s->rcpt, e);
}

static int count_hops(struct submission *s, const char *header, size_t len, struct err *e)
{
    s->env.received = header_received(header, len) + s->facts->opt->hops;
    if (s->env.received <= RECEIVED_MAX)
        return 0;
    return err_set(e, EX_DATAERR, "a mail loop: the message came through %u servers", s->env.received);
}

static void complete_header(struct submission *s, const char *header, size_t len)
{
    const struct header_facts h = {
        .id = draft_id(s->draft), .hostname = s->identity.hostname, .user = s->user, .uid = s->env.uid, .at = s->now.wall,
        .from = s->env.sender[0] != '\0' ? s->env.sender : s->own_address, .full_name = s->full_name,
        .only_rcpt = s->env.nrcpt == 1 && !s->rcpt.blind ? s->env.rcpt[0] : NULL
    };

    s->header.max = 2 * MESSAGE_HEADER_MAX;
    header_complete(&s->header, header, len, &h);
}

static int write_envelope(struct submission *s, struct err *e)
{
    struct buf out = BUF_INIT(ENVELOPE_HEAD_MAX);
    int r;

    s->env.accepted = s->now.wall;
    s->env.accepted_mono = s->now.mono;
    clock_boot(s->env.boot);
    s->env.say = s->facts->opt->verbose;
    r = envelope_print(&s->env, &out, e);
    if (r == 0)
        r = draft_write(s->draft, out.data, out.len, e);
    buf_fini(&out);
    return r;
}

/* What came through stdin may have taken hours: the time is that of its header. */
static int take_message(struct submission *s, struct err *e)
{
    const char *header;
    size_t len;

    if (read_header(s, e) != 0)
        return -1;
    s->now = clock_now();
    header = message_header(s->message, &len);
    if (count_hops(s, header, len, e) != 0 || find_recipients(s, header, len, e) != 0)
        return -1;
    complete_header(s, header, len);
    if (!buf_ok(&s->header))
        return err_set(e, EX_TEMPFAIL, "the header does not fit into memory");
    if (write_envelope(s, e) != 0)
        return -1;
    s->text = text_to_draft(s->draft);
    if (text_write(&s->text, s->header.data, s->header.len, e) != 0)
        return -1;
    return message_copy_body(s->message, &s->text, e);
}

/* ---- the end ----------------------------------------------------------- */

/* REPORT_R is "" where none was made. */
static int report_bad(struct submission *s, struct msgid *report_r, struct err *note, struct err *e)
{
    const struct report_facts f = {
        .hostname = s->identity.hostname, .env = &s->env, .rcpt = &s->rcpt, .header = s->header.data,
        .header_len = s->header.len, .now = s->now
    };

    report_r->s[0] = '\0';
    if (s->rcpt.nbad == 0)
        return 0;
    if (s->env.sender[0] != '\0')
        return report_bad_recipients(s->spool, &f, report_r, e) == 0 ? 0 : explain_door(e);
    (void)err_set(note, EX_DATAERR, "queued, but not for %.*s (nobody to tell: the sender is <>)",
        (int)strcspn(s->rcpt.bad.data, "\n"), s->rcpt.bad.data);
    return 0;
}

/* The draft is gone afterwards, one way or the other. */
static int commit(struct submission *s, struct err *note, struct err *e)
{
    struct draft *d = s->draft;
    struct msgid report;

    interrupt_hold();
    if (report_bad(s, &report, note, e) != 0)
        return -1;
    s->draft = NULL;
    if (draft_commit(d, &s->text.size, e) == 0)
        return 0;
    if (report.s[0] != '\0')
        report_withdraw(s->spool, &report);
    return -1;
}

static void deliver(struct submission *s, const struct msgid *id, struct err *note)
{
    const struct options *opt = s->facts->opt;
    const struct starter st = {
        .spool = s->spool, .config = s->facts->config_file, .elevated = s->facts->privilege->elevated,
        .automatic = s->facts->config->spooler_auto
    };
    struct follow *f = opt->verbose ? follow_begin(s->spool, id, &s->env) : NULL;
    enum started started = opt->queue_only ? STARTED_LISTENING : starter_mail(&st);
    struct wall pass;

    if (started == STARTED_NOBODY) {
        pass = spool_last_pass(s->spool);
        if (s->now.wall.ms - pass.ms > DAY_MS)
            (void)err_set(note, EX_UNAVAILABLE, "queued as %s, but no spooler runs; start one with: %s", id->s,
                ABIDE_SBINDIR "/abided");
    }
    if (opt->verbose)
        follow_end(f, id, started != STARTED_NOBODY && !opt->queue_only);
}

/* Nothing stays of what was begun; the caller may go on writing until he is done. */
static void give_up(struct submission *s, struct err *e)
{
    bool too_big = s->message != NULL && message_too_big(s->message);
    uint64_t rest;

    interrupt_hold();
    draft_drop(s->draft);
    s->draft = NULL;
    interrupt_watch(NULL);
    rest = message_drain(STDIN_FILENO, DRAIN_IDLE_MS);
    if (too_big)
        (void)err_set(e, EX_DATAERR, "the message has %" PRIu64 " bytes, more than max_size allows (%" PRIu64 ")",
            message_arrived(s->message) + rest, s->facts->config->max_size);
}

static void submission_fini(struct submission *s)
{
    message_free(s->message);
    envelope_fini(&s->env);
    recipients_fini(&s->rcpt);
    buf_fini(&s->header);
    spool_free(s->spool);
}

int submit(const struct submit_facts *facts, struct err *note, struct err *e)
{
    struct submission s = { .facts = facts, .rcpt = RECIPIENTS_INIT, .now = clock_now() };
    struct msgid id;
    int r = set_sender(&s, e);

    if (r == 0)
        r = open_door(&s, e);
    if (r == 0)
        r = take_message(&s, e);
    if (r == 0) {
        id = *draft_id(s.draft);
        r = commit(&s, note, e);
    }
    if (r != 0) {
        give_up(&s, e);
    } else {
        deliver(&s, &id, note);
        if (message_dot_seen(s.message))
            (void)message_drain(STDIN_FILENO, DRAIN_AFTER_DOT_MS);
    }
    submission_fini(&s);
    return r;
}
