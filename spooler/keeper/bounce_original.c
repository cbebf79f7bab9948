/* bounce_original: reads back the message a report is about, within bounds. The
 * bytes are a stranger's: a header is given back with its odd bytes and long
 * lines mended, a whole message as it is or not at all. Called by bounce. */
#include <config.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/rfc5322.h"
#include "spooler/keeper/bounce.h"
#include "spooler/keeper/bounce_original.h"
#include "spooler/keeper/bounce_words.h"

enum { LINE_MAX_BYTES = 998 };          /* RFC 5322 2.1.1 */

/* Exactly LEN bytes of the message. */
static bool read_bytes(const struct bounce *b, size_t len, struct buf *out)
{
    char chunk[16 * 1024];
    ssize_t n;

    while (out->len < len) {
        size_t want = len - out->len < sizeof(chunk) ? len - out->len : sizeof(chunk);

        n = pread(b->fd, chunk, want, (off_t)(b->envelope->message_at + out->len));
        if (n == -1 && errno == EINTR)
            continue;
        if (n <= 0 || !buf_add(out, chunk, (size_t)n))
            return false;
    }
    return true;
}

/* ---- what the report quotes -------------------------------------------- */

static bool is_printable(const char *s)
{
    for (; *s != '\0'; s++)
        if (*s < ' ' || *s > '~')
            return false;
    return true;
}

/* RFC 5322 3.6.4, and short enough to stand on one line. */
static bool message_id_valid(const char *s)
{
    size_t len = strlen(s);

    if (len < 5 || s[0] != '<' || s[len - 1] != '>' || strcspn(s + 1, "<> ") != len - 2)
        return false;
    return strchr(s, '@') != NULL && is_printable(s);
}

/* An encoded word that was cut would be read as gibberish. */
static bool subject_valid(const char *s, size_t size)
{
    return is_printable(s) && (strlen(s) < size - 1 || strstr(s, "=?") == NULL);
}

static void take_field(const struct field *f, struct bounce_original *o)
{
    if (o->subject[0] == '\0' && field_is(f, "Subject")) {
        field_unfold(f, o->subject, sizeof(o->subject));
        if (!subject_valid(o->subject, sizeof(o->subject)))
            o->subject[0] = '\0';
    } else if (o->message_id[0] == '\0' && field_is(f, "Message-ID")) {
        field_unfold(f, o->message_id, sizeof(o->message_id));
        if (f->value_len >= sizeof(o->message_id) || !message_id_valid(o->message_id))
            o->message_id[0] = '\0';
    }
}

/* Length of the header's whole fields. MORE: the bytes end before the message
 * does, so a field that reaches their end may be a part. */
static size_t scan_header(struct bounce_original *o, bool more)
{
    struct field f;
    size_t pos = 0, end = 0;

    while (field_next(o->bytes.data, o->bytes.len, &pos, &f) && !(more && pos == o->bytes.len)) {
        take_field(&f, o);
        end = pos;
    }
    return end;
}

/* ---- what it gives back ------------------------------------------------ */

static bool fits_whole(const struct buf *b)
{
    size_t line = 0;

    for (size_t i = 0; i < b->len; i++) {
        if (b->data[i] == '\0' || b->data[i] == '\r')
            return false;
        line = b->data[i] == '\n' ? 0 : line + 1;
        if (line > LINE_MAX_BYTES)
            return false;
    }
    return true;
}

static void mend_header(struct buf *b, size_t len)
{
    struct buf out = BUF_INIT(2 * ORIGINAL_WHOLE_MAX);
    size_t line = 0;

    for (size_t i = 0; i < len; i++, line++) {
        char c = b->data[i];

        if (line >= WORDS_LINE_MAX && c != '\n') {
            (void)buf_str(&out, "\n ");
            line = 1;
        }
        (void)buf_char(&out, c == '\0' || c == '\r' ? '?' : c);
        if (c == '\n')
            line = (size_t)-1;
    }
    buf_fini(b);
    if (buf_ok(&out))
        *b = out;
    else
        buf_fini(&out);
}

static bool has_eight_bit(const struct buf *b)
{
    for (size_t i = 0; i < b->len; i++)
        if ((unsigned char)b->data[i] >= 0x80)
            return true;
    return false;
}

void bounce_original_read(const struct bounce *b, bool whole, struct bounce_original *o)
{
    uint64_t size = b->envelope->size.disk_bytes;
    size_t most = whole && size <= ORIGINAL_WHOLE_MAX ? ORIGINAL_WHOLE_MAX : ORIGINAL_HEADER_MAX;
    size_t header;

    *o = (struct bounce_original){ .bytes = BUF_INIT(ORIGINAL_WHOLE_MAX) };
    if (!read_bytes(b, size < most ? (size_t)size : most, &o->bytes) || o->bytes.len == 0) {
        buf_fini(&o->bytes);
        return;
    }
    header = scan_header(o, o->bytes.len < size);
    o->whole = whole && o->bytes.len == size && fits_whole(&o->bytes);
    if (!o->whole)
        mend_header(&o->bytes, header);
    o->eight_bit = has_eight_bit(&o->bytes);
}

void bounce_original_fini(struct bounce_original *o)
{
    buf_fini(&o->bytes);
}
