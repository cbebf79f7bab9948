/* addrlist: finds the mailboxes of an address list. It only separates: what a
 * mailbox may contain is common/address's to say, which gets each one without
 * comments and blanks. An element is looked at twice: once for where it ends
 * and what it is, once to read it. Called by recipients. */
#include <config.h>

#include <string.h>

#include "sendmail/addrlist.h"

enum shape {
    SHAPE_PLAIN,                        /* addr-specs, no brackets */
    SHAPE_ANGLE,                        /* phrase <path> */
    SHAPE_GROUP,                        /* phrase: */
    SHAPE_BROKEN                        /* a quote, comment or bracket is not closed */
};

void addrlist_init(struct addrlist *a, const char *text, size_t len)
{
    *a = (struct addrlist){ .at = text, .end = text + len };
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* ---- tokens ------------------------------------------------------------ */

/* Behind the comment, quoted string or literal that begins at P; NULL: it has
 * no end. Comments nest (RFC 5322 3.2.2), so they are counted. */
static const char *skip_enclosed(const char *p, const char *end)
{
    char open = *p, close = open == '(' ? ')' : open == '[' ? ']' : open;
    size_t depth = 0;

    for (; p < end; p++) {
        if (*p == '\\' && p + 1 < end)
            p++;
        else if (*p == close && depth > 0 && --depth == 0)
            return p + 1;
        else if (*p == open && (depth == 0 || open == '('))
            depth++;
    }
    return NULL;
}

/* Behind blanks and comments; stops at a comment without end. */
static const char *skip_cfws(const char *p, const char *end)
{
    while (p < end && (is_blank(*p) || *p == '(')) {
        const char *next = *p == '(' ? skip_enclosed(p, end) : p + 1;

        if (next == NULL)
            break;
        p = next;
    }
    return p;
}

/* The atext of RFC 5322 3.2.3, UTF-8 (RFC 6532), and nothing else. */
static bool is_atom(char c)
{
    return (unsigned char)c > ' ' && c != 0x7f && strchr("()<>[]:;@\\,.\"", c) == NULL;
}

/* Behind one token that is neither blank nor comment; NULL: none begins here. */
static const char *skip_token(const char *p, const char *end)
{
    if (*p == '"' || *p == '[')
        return skip_enclosed(p, end);
    if (*p == '.' || *p == '@')
        return p + 1;
    if (!is_atom(*p))
        return NULL;
    while (p < end && is_atom(*p))
        p++;
    return p;
}

/* ---- elements ---------------------------------------------------------- */

/* Behind the character at P, or behind what it opens. */
static const char *skip_any(const char *p, const char *end)
{
    return *p == '"' || *p == '(' || *p == '[' ? skip_enclosed(p, end) : p + 1;
}

/* Behind the bracket that closes the path at P. */
static const char *skip_angle(const char *p, const char *end)
{
    for (p++; p != NULL && p < end && *p != '>'; )
        p = skip_any(p, end);
    return p == NULL || p == end ? NULL : p + 1;
}

/* The shape of the element at P and where it ends: before the separator of a
 * plain one, behind the bracket or colon of the others. A group's name is a
 * phrase: what is empty or has an @ is none, though a colon follows. */
static enum shape element_shape(const char *p, const char *end, const char **stop)
{
    bool named = false, at = false;

    *stop = end;
    while (p != NULL && p < end) {
        if (*p == ',' || *p == ';') {
            *stop = p;
            return SHAPE_PLAIN;
        }
        if (*p == ':' && named && !at) {
            *stop = p + 1;
            return SHAPE_GROUP;
        }
        if (*p == '<') {
            p = skip_angle(p, end);
            *stop = p;
            return p == NULL ? SHAPE_BROKEN : SHAPE_ANGLE;
        }
        named |= is_atom(*p) || *p == '"';
        at |= *p == '@' || *p == ':';
        p = skip_any(p, end);
    }
    return p == NULL ? SHAPE_BROKEN : SHAPE_PLAIN;
}

static enum addrlist_got bad(struct addrlist *a, const char *from, const char *to)
{
    while (to > from && is_blank(to[-1]))
        to--;
    a->text = from;
    a->text_len = (size_t)(to - from);
    return ADDRLIST_BAD;
}

/* One address as its tokens, without what lies between them. */
struct spec {
    char text[ADDRESS_MAX];
    size_t len;
    bool domain;                        /* the @ was seen */
    bool word;                          /* ended by an atom, a string or a literal */
    bool broken;
};

/* False: this token begins another address. A fold within a quoted string is
 * none of its characters (RFC 5322 2.2.3). */
static bool spec_add(struct spec *s, const char *p, const char *end)
{
    bool word = *p != '.' && *p != '@';

    if (word && s->word) {
        s->broken = !s->domain;         /* two words without a domain: which of them? */
        return false;
    }
    s->broken = *p == '@' && s->domain;
    s->domain |= *p == '@';
    s->word = word;
    for (; p < end && s->len < sizeof(s->text); p++)
        if (*p != '\n')
            s->text[s->len++] = *p;
    s->broken |= s->len == sizeof(s->text);
    return !s->broken;
}

/* Reads from P as much as is one address; where that ended. */
static const char *spec_read(struct spec *s, const char *p, const char *end)
{
    while ((p = skip_cfws(p, end)) < end) {
        const char *next = skip_token(p, end);

        s->broken = next == NULL;
        if (s->broken || !spec_add(s, p, next))
            break;
        p = next;
    }
    return s->broken ? end : p;
}

static bool spec_address(const struct spec *s, char address[ADDRESS_MAX])
{
    return !s->broken && s->len > 0 && address_parse(s->text, s->len, address, NULL) == 0;
}

static enum addrlist_got next_plain(struct addrlist *a)
{
    struct spec s = { .len = 0 };
    const char *from = a->at;
    bool spaced = a->spaced;

    a->at = spec_read(&s, a->at, a->element);
    a->spaced = a->at < a->element;
    return (s.domain || !spaced) && spec_address(&s, a->address) ? ADDRLIST_ADDRESS : bad(a, from, a->at);
}

/* Behind a source route (RFC 5321 C: ignored); END if it has no colon. */
static const char *skip_route(const char *p, const char *end)
{
    p = skip_cfws(p, end);
    if (p == end || *p != '@')
        return p;
    while (p < end && *p != ':')
        p++;
    return p < end ? p + 1 : end;
}

static enum addrlist_got next_angle(struct addrlist *a)
{
    struct spec s = { .len = 0 };
    const char *from = a->at, *p = from, *close = a->element - 1;

    a->at = a->element;
    while (*p != '<')
        p = skip_any(p, close);
    p = spec_read(&s, skip_route(p + 1, close), close);
    return p == close && spec_address(&s, a->address) ? ADDRLIST_ADDRESS : bad(a, from, a->at);
}

static enum addrlist_got next_broken(struct addrlist *a)
{
    const char *from = a->at;

    a->at = a->end;
    return bad(a, from, a->end);
}

/* Goes to the next element, past separators, names of groups and their ends. */
static enum shape begin_element(struct addrlist *a)
{
    enum shape shape = SHAPE_GROUP;

    while (shape == SHAPE_GROUP) {
        a->at = skip_cfws(a->at, a->end);
        while (a->at < a->end && (*a->at == ',' || *a->at == ';'))
            a->at = skip_cfws(a->at + 1, a->end);
        shape = element_shape(a->at, a->end, &a->element);
        if (shape == SHAPE_GROUP)
            a->at = a->element;
    }
    return shape;
}

enum addrlist_got addrlist_next(struct addrlist *a)
{
    enum shape shape = SHAPE_PLAIN;

    if (a->element != NULL)
        a->at = skip_cfws(a->at, a->element);
    if (a->element == NULL || a->at >= a->element)
        shape = begin_element(a);
    if (a->at >= a->end)
        return ADDRLIST_END;
    switch (shape) {
    case SHAPE_PLAIN:
        return next_plain(a);
    case SHAPE_ANGLE:
        return next_angle(a);
    default:
        return next_broken(a);
    }
}

bool addrlist_has_control(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return true;
    return false;
}

bool addrlist_one(const char *text, char address[ADDRESS_MAX])
{
    struct addrlist a;

    addrlist_init(&a, text, strlen(text));
    if (addrlist_has_control(text) || addrlist_next(&a) != ADDRLIST_ADDRESS)
        return false;
    (void)strlcpy(address, a.address, ADDRESS_MAX);
    return addrlist_next(&a) == ADDRLIST_END;
}
