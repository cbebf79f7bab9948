/* msgid: makes, checks and takes apart message IDs and queue names. It looks
 * at no directory. The front makes IDs; keeper and tools read names, and
 * whatever does not parse here is left alone by them. */
#include <config.h>

#include "common/msgid.h"
#include "common/err.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    MSGID_TIME_LEN = 6,
    MSGID_RANDOM_AT = 7,
    QNAME_DUE_LEN = 10,
    QNAME_ID_AT = QNAME_DUE_LEN + 1,
    QNAME_KEY_AT = QNAME_ID_AT + MSGID_LEN + 1,
    QNAME_LEN = QNAME_KEY_AT + 1 + QNAME_SENDER_LEN
};

#define QNAME_DUE_MAX INT64_C(9999999999)

/* In the order of ASCII, so that names sort as numbers do. */
static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static int base62_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'Z')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 36;
    return -1;
}

/* The lowest LEN digits of V. */
static void base62_put(char *out, unsigned len, uint64_t v)
{
    while (len-- > 0) {
        out[len] = base62[v % 62];
        v /= 62;
    }
}

static bool base62_all(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (base62_digit(s[i]) == -1)
            return false;
    return true;
}

int msgid_make(struct wall at, struct msgid *id, struct err *e)
{
    uint64_t random;

    /* Eight digits hold 47 bits; of 64 the bias of the remainder is nothing. */
    if (getentropy(&random, sizeof(random)) != 0)
        return err_sys(e, EX_OSERR, "no random bytes for a message ID");
    base62_put(id->s, MSGID_TIME_LEN, at.ms < 0 ? 0 : (uint64_t)at.ms / 1000);
    base62_put(id->s + MSGID_RANDOM_AT, 6, random);
    base62_put(id->s + MSGID_LEN - 2, 2, random / UINT64_C(56800235584));   /* 62^6 */
    id->s[6] = id->s[13] = '-';
    id->s[MSGID_LEN] = '\0';
    return 0;
}

/* The first MSGID_LEN bytes; stops at a NUL, which is no digit. */
static bool msgid_begins(const char *s)
{
    return base62_all(s, 6) && s[6] == '-' && base62_all(s + 7, 6) && s[13] == '-' && base62_all(s + 14, 2);
}

bool msgid_valid(const char *s)
{
    return msgid_begins(s) && s[MSGID_LEN] == '\0';
}

int64_t msgid_seconds(const struct msgid *id)
{
    int64_t v = 0;

    for (int i = 0; i < MSGID_TIME_LEN && base62_digit(id->s[i]) != -1; i++)
        v = v * 62 + base62_digit(id->s[i]);
    return v;
}

/* Any lower-case letter will do: mail that a newer version filed under a cause
 * unknown here must still be seen. */
static bool qname_shape(const char *s)
{
    return strlen(s) == QNAME_LEN && strspn(s, "0123456789") == QNAME_DUE_LEN && s[QNAME_DUE_LEN] == '.' &&
           msgid_begins(s + QNAME_ID_AT) && s[QNAME_KEY_AT - 1] == '.' &&
           s[QNAME_KEY_AT] >= 'a' && s[QNAME_KEY_AT] <= 'z' &&
           base62_all(s + QNAME_KEY_AT + 1, QNAME_SENDER_LEN);
}

bool qname_parse(const char *name, struct qname *q)
{
    if (!qname_shape(name))
        return false;
    q->due = 0;
    for (int i = 0; i < QNAME_DUE_LEN; i++)
        q->due = q->due * 10 + (name[i] - '0');
    memcpy(q->id.s, name + QNAME_ID_AT, MSGID_LEN);
    q->id.s[MSGID_LEN] = '\0';
    q->letter = name[QNAME_KEY_AT];
    (void)strlcpy(q->sender, name + QNAME_KEY_AT + 1, sizeof(q->sender));
    return true;
}

void qname_format(const struct qname *q, char out[QNAME_SIZE])
{
    int64_t due = q->due < 0 ? 0 : q->due > QNAME_DUE_MAX ? QNAME_DUE_MAX : q->due;

    (void)snprintf(out, QNAME_SIZE, "%010lld.%.16s.%c%.3s", (long long)due, q->id.s, q->letter, q->sender);
}

/* FNV-1a: spreads well enough over 62^3, and is the same on every machine. */
void qname_hash_sender(const char *reverse_path, char out[QNAME_SENDER_LEN + 1])
{
    uint64_t h = UINT64_C(14695981039346656037);

    for (const char *p = reverse_path; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
    base62_put(out, QNAME_SENDER_LEN, h ^ (h >> 32));
    out[QNAME_SENDER_LEN] = '\0';
}
