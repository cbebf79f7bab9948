/* envelope: the head of a spool file, struct to bytes and back. Whoever may
 * write new/ may write one, so nothing in it is believed before its form is
 * checked, and only the one spelling that envelope_print gives is accepted:
 * a head read and printed again is the same bytes. Linear in its length.
 * The front prints it; keeper and tools read it, through common/spool. */
#include <config.h>

#include "common/envelope.h"
#include "common/address.h"
#include "common/buf.h"
#include "common/err.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 255, RECEIVED_MAX = 999999 };

#define HEAD_MAGIC "abide 1\n"
#define SIZE_DIGITS_MAX UINT64_C(999999999999999)
#define LONGEST_DIGITS_MAX UINT64_C(9999999999)

_Static_assert(sizeof(HEAD_MAGIC) - 1 == ENVELOPE_SIZE_AT, "the size line follows the version line");

void envelope_fini(struct envelope *env)
{
    for (size_t i = 0; i < env->nrcpt; i++)
        free(env->rcpt[i]);
    free(env->rcpt);
    free(env->user);
    free(env->protocol);
    free(env->sender);
    *env = (struct envelope){ 0 };
}

static bool path_canonical(const char *path)
{
    char again[ADDRESS_MAX];

    return address_parse(path, strlen(path), again, NULL) == 0 && strcmp(path, again) == 0;
}

static int rcpt_room(struct envelope *env, struct err *e)
{
    size_t room = env->nrcpt < 8 ? 8 : env->nrcpt * 2;
    char **more;

    if (env->nrcpt < env->rcpt_room)
        return 0;
    if (env->nrcpt >= ENVELOPE_RCPT_MAX)
        return err_set(e, EX_DATAERR, "more than %d recipients", ENVELOPE_RCPT_MAX);
    if (room > ENVELOPE_RCPT_MAX)
        room = ENVELOPE_RCPT_MAX;
    more = reallocarray(env->rcpt, room, sizeof(*more));
    if (more == NULL)
        return err_sys(e, EX_OSERR, "recipients");
    env->rcpt = more;
    env->rcpt_room = room;
    return 0;
}

int envelope_add_rcpt(struct envelope *env, const char *address, struct err *e)
{
    char *copy;

    if (!path_canonical(address))
        return err_set(e, EX_DATAERR, "no recipient in canonical form: %.200s", address);
    if (rcpt_room(env, e) == -1)
        return -1;
    copy = strdup(address);
    if (copy == NULL)
        return err_sys(e, EX_OSERR, "recipients");
    env->rcpt[env->nrcpt++] = copy;
    return 0;
}

/* ---- printing ---------------------------------------------------------- */

static uint64_t at_most(uint64_t v, uint64_t max)
{
    return v > max ? max : v;
}

void envelope_print_size(const struct envelope_size *size, char out[ENVELOPE_SIZE_LEN + 1])
{
    (void)snprintf(out, ENVELOPE_SIZE_LEN + 1, "size %015" PRIu64 " %015" PRIu64 " %c %010" PRIu64 "\n",
                   at_most(size->disk_bytes, SIZE_DIGITS_MAX), at_most(size->wire_bytes, SIZE_DIGITS_MAX),
                   size->eight_bit ? '8' : '7', at_most(size->longest_line, LONGEST_DIGITS_MAX));
}

/* A login name may be anything that some directory service allows; mail must
 * not be refused for it. */
static void print_word(struct buf *out, const char *word)
{
    size_t n = word == NULL ? 0 : strnlen(word, WORD_MAX);

    if (n == 0)
        (void)buf_char(out, '-');
    for (size_t i = 0; i < n; i++)
        (void)buf_char(out, (unsigned char)word[i] <= ' ' || word[i] == 0x7f ? '_' : word[i]);
}

static void print_path(struct buf *out, const char *name, const char *path)
{
    (void)buf_str(out, name);
    (void)buf_str(out, path);
    (void)buf_add(out, ">\n", 2);
}

static void print_origin(const struct envelope *env, struct buf *out)
{
    int64_t wall = env->accepted.ms < 0 ? 0 : env->accepted.ms;
    int64_t mono = env->accepted_mono.ms < 0 ? 0 : env->accepted_mono.ms;

    (void)buf_printf(out, "time %" PRId64 " %" PRId64 " %s\n", wall, mono, env->boot[0] == '\0' ? "-" : env->boot);
    (void)buf_printf(out, "user %" PRIu64 " ", (uint64_t)env->uid);
    print_word(out, env->user);
    (void)buf_char(out, ' ');
    print_word(out, env->protocol);
    (void)buf_char(out, '\n');
}

int envelope_print(const struct envelope *env, struct buf *out, struct err *e)
{
    char size[ENVELOPE_SIZE_LEN + 1];
    size_t start = out->len;

    if (env->nrcpt == 0)
        return err_set(e, EX_DATAERR, "no recipients");
    if (env->sender == NULL || (env->sender[0] != '\0' && !path_canonical(env->sender)))
        return err_set(e, EX_DATAERR, "no sender in canonical form");
    (void)buf_str(out, HEAD_MAGIC);
    envelope_print_size(&env->size, size);
    (void)buf_str(out, size);
    print_origin(env, out);
    print_path(out, "from <", env->sender);
    for (size_t i = 0; i < env->nrcpt; i++)
        print_path(out, "to <", env->rcpt[i]);
    if (env->say)
        (void)buf_str(out, "say\n");
    if (env->received > 0)
        (void)buf_printf(out, "loop %u\n", env->received > RECEIVED_MAX ? RECEIVED_MAX : env->received);
    (void)buf_char(out, '\n');
    if (!buf_ok(out) || out->len - start > ENVELOPE_HEAD_MAX)
        return err_set(e, EX_DATAERR, "the envelope is too long");
    return 0;
}

/* ---- reading ----------------------------------------------------------- */

/* The rest of the head, which holds no NUL and ends in a newline. */
struct reader {
    const char *p, *end;
    struct err *err;
};

static int reader_bad(const struct reader *r, const char *what)
{
    return err_set(r->err, EX_DATAERR, "envelope: bad %s", what);
}

static bool take(struct reader *r, const char *literal)
{
    size_t n = strlen(literal);

    if ((size_t)(r->end - r->p) < n || memcmp(r->p, literal, n) != 0)
        return false;
    r->p += n;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Exactly N digits, N so few that they cannot overflow. */
static bool take_digits(struct reader *r, unsigned n, uint64_t *v_r)
{
    *v_r = 0;
    for (; n > 0; n--, r->p++) {
        if (r->p == r->end || !is_digit(*r->p))
            return false;
        *v_r = *v_r * 10 + (uint64_t)(*r->p - '0');
    }
    return true;
}

/* A number without leading zeros. */
static bool take_number(struct reader *r, uint64_t max, uint64_t *v_r)
{
    const char *start = r->p;
    uint64_t v = 0;

    for (; r->p < r->end && is_digit(*r->p); r->p++) {
        uint64_t digit = (uint64_t)(*r->p - '0');

        if (v > (max - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *v_r = v;
    return r->p > start && (*start != '0' || r->p == start + 1);
}

static int read_size(struct reader *r, struct envelope_size *size)
{
    bool ok = take(r, "size ") && take_digits(r, 15, &size->disk_bytes) && take(r, " ") &&
              take_digits(r, 15, &size->wire_bytes) && take(r, " ");

    size->eight_bit = ok && take(r, "8");
    if (!ok || !(size->eight_bit || take(r, "7")) || !take(r, " ") ||
        !take_digits(r, 10, &size->longest_line) || !take(r, "\n"))
        return reader_bad(r, "size");
    return 0;
}

static bool take_boot(struct reader *r, char out[CLOCK_BOOT_SIZE])
{
    size_t n;

    if (take(r, "-"))
        return strlcpy(out, "-", CLOCK_BOOT_SIZE) == 1;
    for (n = 0; n < CLOCK_BOOT_SIZE - 1 && r->p < r->end; n++, r->p++) {
        if (!is_digit(*r->p) && (*r->p < 'a' || *r->p > 'f'))
            return false;
        out[n] = *r->p;
    }
    out[n] = '\0';
    return n == CLOCK_BOOT_SIZE - 1;
}

static int read_time(struct reader *r, struct envelope *env)
{
    uint64_t wall, mono;

    if (!take(r, "time ") || !take_number(r, INT64_MAX, &wall) || !take(r, " ") ||
        !take_number(r, INT64_MAX, &mono) || !take(r, " ") || !take_boot(r, env->boot) || !take(r, "\n"))
        return reader_bad(r, "time");
    env->accepted.ms = (int64_t)wall;
    env->accepted_mono.ms = (int64_t)mono;
    return 0;
}

static int copy(struct reader *r, const char *s, size_t n, char **copy_r)
{
    *copy_r = strndup(s, n);
    return *copy_r == NULL ? err_sys(r->err, EX_OSERR, "envelope") : 0;
}

/* A word up to STOP, which is taken too; "-" is the empty one. */
static int read_word(struct reader *r, char stop, char **word_r)
{
    const char *start = r->p;
    size_t n;

    while (r->p < r->end && (unsigned char)*r->p > ' ' && *r->p != 0x7f)
        r->p++;
    n = (size_t)(r->p - start);
    if (n == 0 || n > WORD_MAX || r->p == r->end || *r->p != stop)
        return reader_bad(r, "user");
    r->p++;
    return copy(r, start, n == 1 && *start == '-' ? 0 : n, word_r);
}

static int read_user(struct reader *r, struct envelope *env)
{
    uint64_t uid;

    /* The highest value means "nobody in particular" to chown(2). */
    if (!take(r, "user ") || !take_number(r, UINT32_MAX - 1, &uid) || !take(r, " "))
        return reader_bad(r, "user");
    env->uid = (uid_t)uid;
    if (read_word(r, ' ', &env->user) == -1)
        return -1;
    return read_word(r, '\n', &env->protocol);
}

/* The rest of a line, "ADDRESS>\n", without the last two bytes. A '>' inside
 * an address stands in quotes, so the line's last one is meant. */
static int read_path(struct reader *r, char out[ADDRESS_MAX])
{
    const char *nl = memchr(r->p, '\n', (size_t)(r->end - r->p));
    size_t n = nl == NULL ? 0 : (size_t)(nl - r->p);

    if (n == 0 || n > ADDRESS_MAX || nl[-1] != '>')
        return reader_bad(r, "address");
    memcpy(out, r->p, n - 1);
    out[n - 1] = '\0';
    r->p = nl + 1;
    return 0;
}

static int read_from(struct reader *r, struct envelope *env)
{
    char path[ADDRESS_MAX];

    if (!take(r, "from <") || read_path(r, path) == -1 || (path[0] != '\0' && !path_canonical(path)))
        return reader_bad(r, "sender");
    return copy(r, path, strlen(path), &env->sender);
}

static int read_to(struct reader *r, struct envelope *env)
{
    char path[ADDRESS_MAX];

    while (take(r, "to <"))
        if (read_path(r, path) == -1 || envelope_add_rcpt(env, path, r->err) == -1)
            return -1;
    return env->nrcpt == 0 ? reader_bad(r, "recipient") : 0;
}

static int read_rest(struct reader *r, struct envelope *env)
{
    uint64_t received = 0;

    env->say = take(r, "say\n");
    if (take(r, "loop ") && (!take_number(r, RECEIVED_MAX, &received) || received == 0 || !take(r, "\n")))
        return reader_bad(r, "loop count");
    env->received = (unsigned)received;
    return r->p == r->end ? 0 : reader_bad(r, "line");
}

static int read_lines(struct reader *r, struct envelope *env)
{
    if (read_size(r, &env->size) == -1 || read_time(r, env) == -1 || read_user(r, env) == -1 ||
        read_from(r, env) == -1 || read_to(r, env) == -1)
        return -1;
    return read_rest(r, env);
}

/* The empty line that ends the head, from the line end before it; NULL: not there. */
static const char *head_end(const char *bytes, size_t len)
{
    const char *p = bytes, *end = bytes + (len < ENVELOPE_HEAD_MAX ? len : ENVELOPE_HEAD_MAX);

    while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL && p + 1 < end) {
        if (p[1] == '\n')
            return p;
        p++;
    }
    return NULL;
}

int envelope_parse(const char *bytes, size_t len, struct envelope *env_r, struct err *e)
{
    const size_t magic = sizeof(HEAD_MAGIC) - 1;
    const char *end;
    struct reader r;

    *env_r = (struct envelope){ 0 };
    if (len == 0)
        return 1;
    if (memcmp(bytes, HEAD_MAGIC, len < magic ? len : magic) != 0)
        return err_set(e, EX_DATAERR, "envelope: not of a version known here");
    end = head_end(bytes, len);
    if (end == NULL)
        return len < ENVELOPE_HEAD_MAX ? 1 : err_set(e, EX_DATAERR, "envelope: longer than any can be");
    if (memchr(bytes, '\0', (size_t)(end - bytes)) != NULL || end < bytes + magic)
        return err_set(e, EX_DATAERR, "envelope: incomplete, or with a NUL in it");
    r = (struct reader){ bytes + magic, end + 1, e };
    if (read_lines(&r, env_r) == -1) {
        envelope_fini(env_r);
        return -1;
    }
    env_r->message_at = (size_t)(end + 2 - bytes);
    return 0;
}
