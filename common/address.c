/* address: mailboxes as users and headers write them, to one canonical
 * spelling. What it lets through stands in envelopes, SMTP commands and log
 * lines, so no control byte, no second address and no unquoted special ever
 * comes out. One pass, no allocation. Called on both sides of the spool. */
#include <config.h>

#include "common/address.h"
#include "common/err.h"
#include "common/utf8.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

enum { DOMAIN_MAX = 255, LABEL_MAX = 63, IN_SHOWN = 200 };

struct scan {
    const char *p, *end;
    const char *why;                    /* the first thing that was wrong */
};

static bool fail(struct scan *s, const char *why)
{
    if (s->why == NULL)
        s->why = why;
    return false;
}

static bool next_is(const struct scan *s, char c)
{
    return s->p < s->end && *s->p == c;
}

static bool take(struct scan *s, char c)
{
    if (!next_is(s, c))
        return false;
    s->p++;
    return true;
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* RFC 5321 4.1.2 atext, with 8-bit bytes (RFC 6531 3.3). */
static bool is_atext(char c)
{
    return is_alnum(c) || (unsigned char)c >= 0x80 || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* A comment (RFC 5322 3.2.2), nested, the opening parenthesis taken. */
static bool skip_comment(struct scan *s)
{
    for (size_t depth = 1; depth > 0; s->p++) {
        if (s->p < s->end && *s->p == '\\')
            s->p++;
        else if (next_is(s, '('))
            depth++;
        else if (next_is(s, ')'))
            depth--;
        if (s->p >= s->end)
            return fail(s, "a comment does not end");
    }
    return true;
}

static bool skip_space(struct scan *s)
{
    for (;;) {
        if (take(s, '(')) {
            if (!skip_comment(s))
                return false;
        } else if (!take(s, ' ') && !take(s, '\t')) {
            return true;
        }
    }
}

/* ---- the local part ---------------------------------------------------- */

/* Decoded: what stands between the quotes, without its backslashes. */
struct local {
    char s[ADDRESS_MAX];
    size_t n;
};

static bool local_add(struct scan *s, struct local *l, char c)
{
    if (c == '\t')
        return fail(s, "a tab inside");
    if (l->n == sizeof(l->s))
        return fail(s, "too long");
    l->s[l->n++] = c;
    return true;
}

static bool take_escaped(struct scan *s, struct local *l)
{
    if (s->p == s->end)
        return fail(s, "a backslash at the end");
    return local_add(s, l, *s->p++);
}

static bool take_quoted(struct scan *s, struct local *l)
{
    while (!take(s, '"')) {
        if (s->p == s->end)
            return fail(s, "a quote does not end");
        if (take(s, '\\') ? !take_escaped(s, l) : !local_add(s, l, *s->p++))
            return false;
    }
    return true;
}

/* A word: an atom, or a quoted string. Backslashes in an atom are RFC 821's. */
static bool take_word(struct scan *s, struct local *l)
{
    if (take(s, '"'))
        return take_quoted(s, l);
    for (;;) {
        if (take(s, '\\')) {
            if (!take_escaped(s, l))
                return false;
        } else if (s->p < s->end && is_atext(*s->p)) {
            if (!local_add(s, l, *s->p++))
                return false;
        } else {
            return true;
        }
    }
}

/* Words and dots. Dots where RFC 5321 has none (a..b, a.) are real mailboxes
 * of some providers; they come out quoted. */
static bool take_local(struct scan *s, struct local *l)
{
    do {
        if (!skip_space(s) || !take_word(s, l) || !skip_space(s))
            return false;
    } while (take(s, '.') && local_add(s, l, '.'));
    if (s->why != NULL)
        return false;
    return l->n > 0 || fail(s, "an empty local part");
}

static bool is_dot_string(const struct local *l)
{
    for (size_t i = 0; i < l->n; i++) {
        if (l->s[i] == '.' ? i == 0 || i + 1 == l->n || l->s[i - 1] == '.' : !is_atext(l->s[i]))
            return false;
    }
    return true;
}

static bool put(struct scan *s, char *out, size_t *n, char c)
{
    if (*n >= ADDRESS_MAX - 1)
        return fail(s, "too long");
    out[(*n)++] = c;
    out[*n] = '\0';
    return true;
}

static bool put_local(struct scan *s, const struct local *l, char *out, size_t *n)
{
    bool quoted = !is_dot_string(l);

    if (quoted && !put(s, out, n, '"'))
        return false;
    for (size_t i = 0; i < l->n; i++) {
        if ((l->s[i] == '"' || l->s[i] == '\\') && !put(s, out, n, '\\'))
            return false;
        if (!put(s, out, n, l->s[i]))
            return false;
    }
    return !quoted || put(s, out, n, '"');
}

/* ---- the domain -------------------------------------------------------- */

static bool literal_valid(const char *domain, size_t len)
{
    char inner[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    bool v6 = strncasecmp(domain, "[ipv6:", 6) == 0;
    size_t from = v6 ? 6 : 1;

    if (len < from + 2 || domain[len - 1] != ']' || len - from - 1 >= sizeof(inner))
        return false;
    memcpy(inner, domain + from, len - from - 1);
    inner[len - from - 1] = '\0';
    return inet_pton(v6 ? AF_INET6 : AF_INET, inner, bytes) == 1;
}

/* A label; underscores are no host name's, but some mail domains have them.
 * Bytes of UTF-8 that continue a character do not count. */
static bool label_valid(const char *label, size_t len)
{
    size_t chars = 0;

    for (size_t i = 0; i < len; i++) {
        if (!is_alnum(label[i]) && label[i] != '-' && label[i] != '_' && (unsigned char)label[i] < 0x80)
            return false;
        chars += ((unsigned char)label[i] & 0xc0) != 0x80;
    }
    return len > 0 && chars <= LABEL_MAX && label[0] != '-' && label[len - 1] != '-' && utf8_valid(label, len);
}

bool address_domain_valid(const char *domain)
{
    size_t len = strnlen(domain, DOMAIN_MAX + 1);

    if (len == 0 || len > DOMAIN_MAX)
        return false;
    if (domain[0] == '[')
        return literal_valid(domain, len);
    for (;;) {
        size_t n = strcspn(domain, ".");

        if (!label_valid(domain, n))
            return false;
        if (domain[n] == '\0')
            return true;
        domain += n + 1;
    }
}

static bool in_domain(char c)
{
    return is_alnum(c) || c == '-' || c == '_' || c == '[' || c == ']' || c == ':' || (unsigned char)c >= 0x80;
}

/* Behind the @. Labels may have blanks and comments around their dots (RFC
 * 5322 4.4); the colon belongs to literals, and is refused elsewhere later. */
static bool take_domain(struct scan *s, char *out, size_t *n)
{
    const size_t start = *n;

    do {
        if (!skip_space(s))
            return false;
        for (; s->p < s->end && in_domain(*s->p); s->p++)
            if (!put(s, out, n, *s->p >= 'A' && *s->p <= 'Z' ? (char)(*s->p + 32) : *s->p))
                return false;
        if (!skip_space(s))
            return false;
    } while (take(s, '.') && put(s, out, n, '.'));
    if (s->why != NULL)
        return false;
    if (*n > start + 1 && out[*n - 1] == '.')
        out[--*n] = '\0';
    return address_domain_valid(out + start) || fail(s, "a bad domain");
}

/* ---- the whole --------------------------------------------------------- */

/* RFC 5321 4.1.2 A-d-l: accepted, and ignored (RFC 5321 appendix C). */
static bool skip_route(struct scan *s)
{
    if (!next_is(s, '@'))
        return true;
    while (s->p < s->end && (in_domain(*s->p) || strchr("@., \t", *s->p) != NULL) && *s->p != ':')
        s->p++;
    return take(s, ':') || fail(s, "an empty local part");
}

static bool take_mailbox(struct scan *s, char *out)
{
    struct local l = { .n = 0 };
    size_t n = 0;

    if (!skip_route(s) || !take_local(s, &l) || !put_local(s, &l, out, &n))
        return false;
    return !take(s, '@') || (put(s, out, &n, '@') && take_domain(s, out, &n));
}

static bool take_path(struct scan *s, char *out)
{
    bool angle;

    if (!skip_space(s))
        return false;
    angle = take(s, '<');
    if (angle && !skip_space(s))
        return false;
    if (angle && take(s, '>'))
        return skip_space(s);
    if (s->p == s->end)
        return fail(s, "empty");
    if (!take_mailbox(s, out) || (angle && !take(s, '>')))
        return fail(s, "not one address");
    return skip_space(s);
}

static bool has_control(const char *in, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)in[i] < ' ' && in[i] != '\t') || in[i] == 0x7f)
            return true;
    return false;
}

int address_parse(const char *in, size_t len, char out[ADDRESS_MAX], struct err *e)
{
    struct scan s = { in, in + len, NULL };
    bool ok;

    out[0] = '\0';
    ok = has_control(in, len) ? fail(&s, "a control byte inside") : take_path(&s, out);
    if (ok && s.p != s.end)
        ok = fail(&s, "not one address");
    if (ok)
        return 0;
    out[0] = '\0';
    return err_set(e, EX_DATAERR, "bad address \"%.*s\": %s", len > IN_SHOWN ? IN_SHOWN : (int)len, in, s.why);
}

const char *address_domain(const char *address)
{
    const char *p = address;

    if (*p == '"') {
        for (p++; *p != '\0' && *p != '"'; p++)
            if (*p == '\\' && p[1] != '\0')
                p++;
    }
    p = strrchr(p, '@');
    return p == NULL ? NULL : p + 1;
}

bool address_equal(const char *a, const char *b)
{
    const char *da = address_domain(a), *db = address_domain(b);

    if (da == NULL || db == NULL)
        return da == db && strcmp(a, b) == 0;
    return da - a == db - b && memcmp(a, b, (size_t)(da - a)) == 0 && strcasecmp(da, db) == 0;
}
