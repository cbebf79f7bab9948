/* bounce_words: says what happened, twice: to a person and to programs. It
 * writes into buffers and decides nothing but how to say it. Called by bounce. */
#include <config.h>

#include <stdint.h>
#include <string.h>

#include "common/buf.h"
#include "common/reply.h"
#include "common/utf8.h"
#include "spooler/keeper/bounce_original.h"
#include "spooler/keeper/bounce_words.h"

enum { WIDTH = 76, PEOPLE_RCPT_MAX = 100 };

/* ---- text of strangers ------------------------------------------------- */

/* Words of a text, wrapped; the blanks between them, line ends among them, are
 * ours. */
struct wrap {
    struct buf *out;
    const char *margin;                 /* before each line but the first */
    bool utf8;                          /* else all but ASCII is '?' */
    bool begun;                         /* a word stands on this line */
    size_t column;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Bytes of the character at S that may be shown; 0: that byte may not. */
static size_t shown(const char *s, size_t len, bool utf8)
{
    if ((unsigned char)*s < 0x80)
        return *s >= ' ' && *s != 0x7f;
    return utf8 ? utf8_char(s, len) : 0;
}

static void new_line(struct wrap *w)
{
    (void)buf_char(w->out, '\n');
    (void)buf_str(w->out, w->margin);
    w->column = strlen(w->margin);
    w->begun = false;
}

static void put_word(struct wrap *w, const char *word, size_t len)
{
    if (w->begun && w->column + 1 + len > WIDTH)
        new_line(w);
    if (w->begun)
        (void)buf_char(w->out, ' ');
    w->column += w->begun;
    w->begun = true;
    while (len > 0) {
        size_t n = shown(word, len, w->utf8), used = n == 0 ? 1 : n;

        if (w->column + used > WORDS_LINE_MAX)
            new_line(w);
        (void)buf_add(w->out, n == 0 ? "?" : word, used);
        w->column += used;
        word += used;
        len -= used;
    }
    w->begun = true;
}

static void put_words(struct wrap *w, const char *text)
{
    while (*text != '\0') {
        size_t len = 0;

        while (text[len] != '\0' && !is_blank(text[len]))
            len++;
        if (len > 0)
            put_word(w, text, len);
        text += len;
        while (is_blank(*text))
            text++;
    }
}

/* A paragraph of the first part, with MARGIN before each line. */
static void put_text(struct buf *out, const char *margin, const char *text)
{
    struct wrap w = { .out = out, .margin = margin, .utf8 = true, .column = strlen(margin) };

    (void)buf_str(out, margin);
    put_words(&w, text);
    (void)buf_char(out, '\n');
}

void words_field(struct buf *out, const char *name, const char *value)
{
    struct wrap w = { .out = out, .margin = " ", .begun = true, .column = strlen(name) + 1 };

    (void)buf_printf(out, "%s:", name);
    put_words(&w, value);
    (void)buf_char(out, '\n');
}

/* An address is shown as it is: blanks in its quotes belong to it. */
static void put_address(struct buf *out, const char *address)
{
    size_t len = strnlen(address, WORDS_LINE_MAX);

    while (len > 0) {
        size_t n = shown(address, len, true), used = n == 0 ? 1 : n;

        (void)buf_add(out, n == 0 ? "?" : address, used);
        address += used;
        len -= used;
    }
}

bool words_address(struct buf *out, const char *name, const char *address)
{
    if (strlen(address) > WORDS_LINE_MAX)
        return false;
    (void)buf_printf(out, "%s: ", name);
    put_address(out, address);
    return buf_char(out, '\n');
}

/* ---- the code ---------------------------------------------------------- */

static bool is_digits(const char *s, size_t n)
{
    return n >= 1 && n <= 3 && strspn(s, "0123456789") >= n;
}

/* RFC 3463 2. */
static bool status_valid(const char *s)
{
    size_t subject, detail;

    if (strchr("245", s[0]) == NULL || s[0] == '\0' || s[1] != '.')
        return false;
    subject = strcspn(s + 2, ".");
    if (!is_digits(s + 2, subject) || s[2 + subject] != '.')
        return false;
    detail = strlen(s + 3 + subject);
    return is_digits(s + 3 + subject, detail);
}

/* What failed may have failed for its age, with a 4. */
static bool status_fits(const char *s, enum bounce_kind kind)
{
    return status_valid(s) && (s[0] == '4' || (s[0] == '5' && kind == BOUNCE_FAILED));
}

void words_status(const struct bounce_rcpt *r, enum bounce_kind kind, char out[WORDS_STATUS_SIZE])
{
    const char *none = kind == BOUNCE_FAILED ? "5.0.0" : "4.0.0", *best = none;
    struct reply reply;

    if (status_fits(r->status, kind))
        best = r->status;
    else if (reply_parse(r->diagnostic, &reply) && status_valid(reply.enh) && reply.enh[0] == none[0])
        best = reply.enh;
    (void)strlcpy(out, best, WORDS_STATUS_SIZE);
}

/* ---- for people -------------------------------------------------------- */

/* By the beginning of the code behind its class; the first that fits. */
static const struct { const char *code, *text; } advice[] = {
    { "1.10", "This domain takes no mail at all. Check the address for typing mistakes, or ask the recipient for the right one." },
    { "1.2", "Check the part of the address behind the @ for typing mistakes." },
    { "1.", "Check the address for typing mistakes, or ask the recipient for the right one." },
    { "2.2", "The mailbox is full. Tell the recipient by another way, and send the message again when there is room." },
    { "2.3", "The message is too large for that server. Send it in smaller parts, or send a link to what was attached." },
    { "3.4", "The message is too large for that server. Send it in smaller parts, or send a link to what was attached." },
    { "2.", "The mailbox does not take mail now. Ask the recipient by another way." },
    { "4.7", "The server did not take it in all that time. Send it again later, or reach the recipient by another way." },
    { "4.", "The domain's mail service cannot be reached or is set up wrongly. Check the address; if it is right, tell the "
      "recipient by another way." },
    { "7.", "The server refuses it by one of its rules. Show this report to your administrator: the answer often says what "
      "has to change." },
    { "", "If the words above do not explain it, show this report to your administrator." },
};

static const char *advise(const struct bounce_rcpt *r)
{
    char status[WORDS_STATUS_SIZE];
    size_t i = 0;

    words_status(r, BOUNCE_FAILED, status);
    while (strncmp(status + 2, advice[i].code, strlen(advice[i].code)) != 0)
        i++;
    return advice[i].text;
}

static void put_server(struct buf *out, const struct bounce_rcpt *r)
{
    struct buf who = BUF_INIT(WORDS_LINE_MAX);

    (void)buf_printf(&who, "The server %s %s", r->host, r->diagnostic[0] != '\0' ? "answered:" : "has not taken it yet.");
    put_text(out, "    ", who.data == NULL ? "" : who.data);
    buf_fini(&who);
}

static void put_rcpt(struct buf *out, const struct bounce *b, const struct bounce_rcpt *r)
{
    (void)buf_char(out, '<');
    put_address(out, r->address);
    (void)buf_str(out, ">\n");
    if (r->host[0] != '\0' && (r->from_remote || r->diagnostic[0] == '\0'))
        put_server(out, r);
    if (r->diagnostic[0] != '\0')
        put_text(out, r->from_remote ? "        " : "    ", r->diagnostic);
    else if (r->host[0] == '\0')
        put_text(out, "    ", "The reason stands in the log of the mail system.");
    if (b->kind == BOUNCE_FAILED) {
        put_text(out, "    ", "What to do:");
        put_text(out, "        ", advise(r));
    }
    (void)buf_char(out, '\n');
}

static void put_message(struct buf *out, const struct bounce *b, const struct bounce_original *o)
{
    char date[CLOCK_DATE_SIZE];

    clock_date(b->envelope->accepted, date);
    if (o->subject[0] != '\0') {
        (void)buf_str(out, "Subject:\n");
        put_text(out, "    ", o->subject);
    }
    (void)buf_printf(out, "Sent:\n    %s\nNumber in the log:\n    %s\n\n", date, b->id->s);
}

static void put_opening(struct buf *out, const struct bounce *b, const char *hostname)
{
    struct buf text = BUF_INIT(WORDS_LINE_MAX);

    (void)buf_printf(&text, "This is the mail system of %s.", hostname);
    put_text(out, "", text.data == NULL ? "" : text.data);
    buf_fini(&text);
    (void)buf_char(out, '\n');
    if (b->kind == BOUNCE_FAILED)
        put_text(out, "", b->nrcpt == 1 ? "The message below could not be delivered to this recipient. It will not be tried again."
            : "The message below could not be delivered to these recipients. It will not be tried again.");
    else
        put_text(out, "", b->nrcpt == 1 ? "This is only a warning: the message below has not been delivered to this recipient yet."
            : "This is only a warning: the message below has not been delivered to these recipients yet.");
    (void)buf_char(out, '\n');
}

static void put_closing(struct buf *out, const struct bounce *b, const struct bounce_original *o)
{
    char date[CLOCK_DATE_SIZE];

    if (b->kind == BOUNCE_DELAYED) {
        clock_date(b->give_up, date);
        (void)buf_printf(out, "You do not have to do anything, and need not send it again. It is tried until\n    %s\n"
            "If it cannot be delivered by then, you will be told.\n\n", date);
    }
    put_text(out, "", o->whole ? "Attached are the details for programs, and your message."
        : o->bytes.len > 0 ? "Attached are the details for programs, and the header of your message."
        : "Attached are the details for programs.");
}

void words_for_people(struct buf *out, const struct bounce *b, const struct bounce_original *o, const char *hostname)
{
    put_opening(out, b, hostname);
    for (size_t i = 0; i < b->nrcpt && i < PEOPLE_RCPT_MAX; i++)
        put_rcpt(out, b, &b->rcpt[i]);
    if (b->nrcpt > PEOPLE_RCPT_MAX)
        (void)buf_printf(out, "and %zu more, which are named in the details attached.\n\n", b->nrcpt - PEOPLE_RCPT_MAX);
    put_message(out, b, o);
    put_closing(out, b, o);
}

/* ---- for programs ------------------------------------------------------ */

/* RFC 6533 3: beyond ASCII the type is utf-8, in a spelling that is ASCII. */
static size_t utf8_xtext(const char *s, size_t len, struct buf *out)
{
    size_t n = utf8_char(s, len);
    uint32_t code = (unsigned char)*s;

    if (n > 1) {
        code &= 0xffU >> (n + 1);
        for (size_t i = 1; i < n; i++)
            code = code << 6 | ((unsigned char)s[i] & 0x3f);
    }
    if (n == 1 && *s > ' ' && *s != 0x7f && strchr("+=\\", *s) == NULL)
        (void)buf_char(out, *s);
    else
        (void)buf_printf(out, "\\x{%X}", (unsigned)code);
    return n == 0 ? 1 : n;
}

static bool is_ascii(const char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s >= 0x80)
            return false;
    return true;
}

static void put_final_recipient(struct buf *out, const char *address)
{
    const size_t start = out->len;
    size_t len = strlen(address);

    if (is_ascii(address) || !utf8_valid(address, len)) {
        (void)buf_str(out, "Final-Recipient: rfc822; ");
        for (; *address != '\0' && out->len - start < WORDS_LINE_MAX; address++)
            (void)buf_char(out, shown(address, 1, false) == 0 ? '?' : *address);
    } else {
        (void)buf_str(out, "Final-Recipient: utf-8; ");
        while (len > 0 && out->len - start < WORDS_LINE_MAX) {
            size_t used = utf8_xtext(address, len, out);

            address += used;
            len -= used;
        }
    }
    (void)buf_char(out, '\n');
}

static void put_typed(struct buf *out, const char *name, const char *type, const char *value)
{
    struct wrap w = { .out = out, .margin = " ", .begun = true };
    const size_t start = out->len;

    if (value[0] == '\0')
        return;
    (void)buf_printf(out, "%s: %s;", name, type);
    w.column = out->len - start;
    put_words(&w, value);
    (void)buf_char(out, '\n');
}

static void put_date(struct buf *out, const char *name, struct wall at)
{
    char date[CLOCK_DATE_SIZE];

    if (at.ms <= 0)
        return;
    clock_date(at, date);
    (void)buf_printf(out, "%s: %s\n", name, date);
}

void words_for_programs(struct buf *out, const struct bounce *b, const struct bounce_rcpt *r, bool brief)
{
    char status[WORDS_STATUS_SIZE];

    words_status(r, b->kind, status);
    (void)buf_char(out, '\n');
    put_final_recipient(out, r->address);
    (void)buf_printf(out, "Action: %s\nStatus: %s\n", b->kind == BOUNCE_FAILED ? "failed" : "delayed", status);
    if (!brief) {
        put_typed(out, "Remote-MTA", "dns", r->host);
        put_typed(out, "Diagnostic-Code", r->from_remote ? "smtp" : "x-abide", r->diagnostic);
    }
    put_date(out, "Last-Attempt-Date", r->last_attempt);
    if (b->kind == BOUNCE_DELAYED)
        put_date(out, "Will-Retry-Until", b->give_up);
}
