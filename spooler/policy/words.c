/* words: splits the text of replies and finds phrases in it, since a general
 * regular expression would be slower, depend on the locale, and read worse in
 * a table of hundreds. Works in bounded space and never fails on content.
 * Called by judge and hint. */
#include <config.h>

#include "spooler/policy/words.h"

#include <string.h>
#include <strings.h>

/* ---- splitting -------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Bytes of UTF-8 letters count: words of other languages stay whole. */
static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

struct splitter {
    struct words *out;
    size_t used;
};

static void emit(struct splitter *s, const char *word, size_t len)
{
    struct words *w = s->out;
    char *at = w->bytes + s->used;

    if (w->n == WORDS_MAX || len + 1 > WORDS_BYTES - s->used)
        return;
    w->word[w->n++] = at;
    w->initial[(unsigned char)lower(word[0])] = true;
    for (size_t i = 0; i < len; i++)
        if (word[i] != '\'')
            *at++ = lower(word[i]);
    *at++ = '\0';
    s->used = (size_t)(at - w->bytes);
}

/* Length of the dotted number at P, and how many parts it has. */
static size_t dotted(const char *p, unsigned *parts)
{
    size_t n = 0;

    for (*parts = 0; is_digit(p[n]);) {
        n += strspn(p + n, "0123456789");
        ++*parts;
        if (p[n] != '.' || !is_digit(p[n + 1]))
            break;
        n++;
    }
    return n;
}

static bool status_at(const char *p, size_t *len)
{
    unsigned parts;

    *len = dotted(p, &parts);
    return parts == 3 && p[1] == '.' && (*p == '4' || *p == '5' || *p == '2');
}

/* "421-4.7.0 " or "421 4.7.0 ", as joined replies have them in their midst. */
static bool code_at(const char *p, size_t *len)
{
    if (strspn(p, "0123456789") != 3 || (p[3] != '-' && p[3] != ' ') || !status_at(p + 4, len))
        return false;
    *len += 4;
    return true;
}

/* IPv6; not the time of day, which has two colons at most. */
static size_t colons(const char *p)
{
    size_t n = strspn(p, "0123456789abcdefABCDEF:"), count = 0;
    bool twin = false;

    for (size_t i = 0; i < n; i++) {
        count += p[i] == ':';
        twin = twin || (p[i] == ':' && p[i + 1] == ':');
    }
    return twin || count > 2 ? n : 0;
}

/* Swallows what is no word but stands for one. Returns its length, or 0. */
static size_t special(struct splitter *s, const char *p, bool urls)
{
    size_t n = strcspn(p, " \n<>()[]\",;");
    unsigned parts;

    if (!urls && (strncasecmp(p, "http://", 7) == 0 || strncasecmp(p, "https://", 8) == 0)) {
        emit(s, "url", 3);
        return n;
    }
    if (memchr(p, '@', n) != NULL && p[n - 1] != '@') {
        emit(s, "addr", 4);
        return n;
    }
    if (code_at(p, &n) || status_at(p, &n))
        return n;
    n = dotted(p, &parts);
    if (parts != 4)
        n = colons(p);
    if (n > 0)
        emit(s, "ip", 2);
    return n;
}

/* "can't" and "user's" are one word, "d'authentification" is two. */
static size_t word_length(const char *p)
{
    size_t n = 0;

    while (is_word(p[n]) || (n > 0 && p[n] == '\'' && is_word(p[n + 1]) && !is_word(p[n + 2])))
        n++;
    return n;
}

void words_split(const char *text, bool urls, struct words *out)
{
    struct splitter s = { .out = out };

    out->n = 0;
    memset(out->initial, 0, sizeof(out->initial));
    while (*text != '\0') {
        size_t n = 0;

        if (is_word(*text)) {
            n = special(&s, text, urls);
            if (n == 0) {
                n = word_length(text);
                emit(&s, text, n);
            }
        }
        text += n > 0 ? n : 1;
    }
}

/* ---- matching --------------------------------------------------------------- */

/* PATTERN of LEN bytes without alternatives against one word. */
static bool glob(const char *pattern, size_t len, const char *word)
{
    size_t n = strlen(word);
    bool front = *pattern == '*', back = len > 1 && pattern[len - 1] == '*';

    if (len == 1 && *pattern == '#')
        return strspn(word, "0123456789") == n;
    pattern += front;
    len -= (size_t)front + (size_t)back;
    if (n < len)
        return false;
    if (front && back)
        return memmem(word, n, pattern, len) != NULL;
    if (front)
        return memcmp(word + n - len, pattern, len) == 0;
    return memcmp(word, pattern, len) == 0 && (back || n == len);
}

/* The alternative behind the one at E, or END. */
static const char *next_alternative(const char *e, const char *end)
{
    const char *bar = memchr(e, '|', (size_t)(end - e));

    return bar != NULL ? bar + 1 : end;
}

static bool element_matches(const char *e, const char *end, const char *word)
{
    while (e < end) {
        const char *next = next_alternative(e, end);

        /* Nearly all fail here already. */
        if ((*e == *word || *e == '*' || *e == '#') && glob(e, (size_t)(next - e) - (next[-1] == '|'), word))
            return true;
        e = next;
    }
    return false;
}

/* Is there any word that the first element could be? */
static bool may_start(const struct words *w, const char *e, const char *end)
{
    for (; e < end; e = next_alternative(e, end))
        if (strchr("*#~$", *e) != NULL || w->initial[(unsigned char)*e])
            return true;
    return false;
}

static const char *element_end(const char *p, const char *end)
{
    const char *blank = memchr(p, ' ', (size_t)(end - p));

    return blank != NULL ? blank : end;
}

/* The phrase from P to END against the words from I on. Depth is bounded by the
 * gaps of a phrase, which are ours. */
static bool match_at(const struct words *w, size_t i, const char *p, const char *end)
{
    while (p < end) {
        const char *stop = element_end(p, end), *rest = stop < end ? stop + 1 : end;

        if (*p == '~') {
            for (size_t skip = 0, most = stop - p > 1 ? 12 : 3; skip <= most && i + skip <= w->n; skip++)
                if (match_at(w, i + skip, rest, end))
                    return true;
            return false;
        }
        if (*p == '$')
            return i == w->n;
        if (i >= w->n || !element_matches(p, stop, w->word[i]))
            return false;
        i++;
        p = rest;
    }
    return true;
}

static bool phrase_matches(const struct words *w, const char *p, const char *end)
{
    if (*p == '^')
        return match_at(w, 0, p + 2, end);
    if (!may_start(w, p, element_end(p, end)))
        return false;
    for (size_t i = 0; i < w->n; i++)
        if (match_at(w, i, p, end))
            return true;
    return false;
}

bool words_match(const struct words *w, const char *phrases)
{
    for (;;) {
        const char *slash = strstr(phrases, " / ");
        const char *end = slash != NULL ? slash : phrases + strlen(phrases);

        if (phrase_matches(w, phrases, end))
            return true;
        if (slash == NULL)
            return false;
        phrases = slash + 3;
    }
}
