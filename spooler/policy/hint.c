/* hint: finds stated waits in replies: dates first (the time of day in a date
 * is no wait), then HH:MM:SS, then numbers with units. Works on hostile text of
 * any content in bounded space. Called by judge. */
#include <config.h>

#include "spooler/policy/hint.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "common/reply.h"

enum {
    SECOND = 1000,
    MINUTE = 60 * SECOND,
    HOUR = 60 * MINUTE,
    DAY = 24 * HOUR,
    LOOK_BACK = 3                       /* words before a number that may make it a wait */
};
#define HINT_MAX ((int64_t)30 * DAY)

/* ---- characters, numbers, words ------------------------------------------------ */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80;
}

/* Up to MOST digits as a number; false if there are fewer than LEAST, or more. */
static bool number(const char **p, size_t least, size_t most, int64_t *out)
{
    size_t n = strspn(*p, "0123456789");

    if (n < least || n > most)
        return false;
    for (*out = 0; n > 0; n--)
        *out = *out * 10 + (*(*p)++ - '0');
    return true;
}

static bool literal(const char **p, char c)
{
    if (**p != c)
        return false;
    ++*p;
    return true;
}

/* Is the word of LEN bytes at P in LIST (blanks between and around)? */
static bool listed(const char *p, size_t len, const char *list)
{
    for (const char *at = list; (at = strchr(at, ' ')) != NULL && at[1] != '\0'; at++)
        if (strncmp(at + 1, p, len) == 0 && at[1 + len] == ' ')
            return true;
    return false;
}

/* The word that ends before P, not before START; its length, 0 for none. */
static size_t word_before(const char *start, const char **p)
{
    const char *end = *p;

    while (end > start && !is_letter(end[-1]) && !is_digit(end[-1]))
        end--;
    for (*p = end; *p > start && (is_letter((*p)[-1]) || is_digit((*p)[-1]));)
        --*p;
    return (size_t)(end - *p);
}

/* ---- dates ---------------------------------------------------------------------- */

/* Days since 1970-01-01 of a date of the Gregorian calendar. */
static int64_t days(int64_t y, int64_t m, int64_t d)
{
    int64_t era, of_era, of_year;

    y -= m <= 2;
    era = y / 400;
    of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    of_era = (y - era * 400) * 365 + (y - era * 400) / 4 - (y - era * 400) / 100 + of_year;
    return era * 146097 + of_era - 719468;
}

/* "+0100", "+01:00", in minutes; 0 for anything else. */
static int64_t time_zone(const char **p)
{
    const char *q = *p + 1;
    int64_t h, m = 0;

    if ((**p != '+' && **p != '-') || strspn(q, "0123456789") < 2)
        return 0;
    if (number(&q, 4, 4, &h)) {
        m = h % 100;
        h /= 100;
    } else if (!number(&q, 2, 2, &h) || !literal(&q, ':') || !number(&q, 2, 2, &m)) {
        return 0;
    }
    m += h * 60;
    m = **p == '-' ? -m : m;
    *p = q;
    return m;
}

/* HH:MM[:SS][.FFF][zone], as milliseconds to add to the day. */
static bool time_of_day(const char **p, int64_t *out)
{
    int64_t h, m, s = 0, zone;

    if (!number(p, 1, 2, &h) || !literal(p, ':') || !number(p, 2, 2, &m))
        return false;
    if (literal(p, ':') && !number(p, 2, 2, &s))
        return false;
    if (**p == '.')
        *p += 1 + strspn(*p + 1, "0123456789");
    if (h > 24 || m > 59 || s > 60)
        return false;
    while (**p == ' ')
        ++*p;
    zone = time_zone(p);
    *out = ((h * 60 + m - zone) * 60 + s) * SECOND;
    return true;
}

/* "2018-02-05T13:01:31Z", "2018-02-05 13:01" */
static bool iso_date(const char **p, int64_t *ms)
{
    int64_t y, m, d, t;

    if (!number(p, 4, 4, &y) || !literal(p, '-') || !number(p, 2, 2, &m) || !literal(p, '-') || !number(p, 2, 2, &d))
        return false;
    if ((!literal(p, 't') && !literal(p, ' ')) || !time_of_day(p, &t) || m < 1 || m > 12 || d < 1 || d > 31)
        return false;
    *ms = days(y, m, d) * DAY + t;
    return true;
}

/* "05 feb 2018 13:01:31 gmt" (RFC 5322 3.3, RFC 9110 5.6.7) */
static bool mail_date(const char **p, int64_t *ms)
{
    static const char months[] = "janfebmaraprmayjunjulaugsepoctnovdec";
    int64_t y, m, d, t;

    if (!number(p, 1, 2, &d) || (!literal(p, ' ') && !literal(p, '-')))
        return false;
    for (m = 1; m <= 12 && strncmp(*p, months + (m - 1) * 3, 3) != 0; m++)
        ;
    if (m > 12 || d < 1 || d > 31)
        return false;
    *p += 3;
    if ((!literal(p, ' ') && !literal(p, '-')) || !number(p, 4, 4, &y) || !literal(p, ' ') || !time_of_day(p, &t))
        return false;
    *ms = days(y, m, d) * DAY + t;
    return true;
}

static bool date_is_meant(const char *start, const char *p)
{
    size_t len;

    while ((len = word_before(start, &p)) == 3 && listed(p, len, " mon tue wed thu fri sat sun the "))
        ;
    return len > 0 && listed(p, len, " until till after later at on before retry bis nach ");
}

/* Blanks every date in TEXT; returns the first that is meant as an end of
 * waiting, as a wait from NOW, or -1. */
static int64_t take_dates(char *text, struct wall now)
{
    int64_t found = -1;

    for (char *p = text; *p != '\0';) {
        const char *end = p, *end2 = p;
        int64_t ms;

        if (!is_digit(*p) || (!iso_date(&end, &ms) && !mail_date(&end2, &ms))) {
            p += is_digit(*p) ? strspn(p, "0123456789") : 1;
            continue;
        }
        if (end2 > p)
            end = end2;
        if (found < 0 && date_is_meant(text, p))
            found = ms > now.ms ? ms - now.ms : 0;
        memset(p, '.', (size_t)(end - p));
        p += end - p;
    }
    return found;
}

/* ---- spans ----------------------------------------------------------------------- */

static const struct {
    const char *word;                   /* its beginning; one letter: all of it */
    int64_t ms;
} units[] = {
    { "s", SECOND }, { "sec", SECOND }, { "sek", SECOND }, { "seg", SECOND },
    { "m", MINUTE }, { "min", MINUTE },
    { "h", HOUR }, { "hour", HOUR }, { "hr", HOUR }, { "heure", HOUR }, { "stunde", HOUR }, { "hora", HOUR },
    { "d", DAY }, { "day", DAY }, { "tag", DAY }, { "jour", DAY },
};

/* The unit at *p (blanks and a hyphen before it are skipped) in ms, or 0. */
static int64_t unit(const char **p)
{
    const char *q = *p + strspn(*p, " -");
    size_t len = 0;

    while (is_letter(q[len]))
        len++;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t n = strlen(units[i].word);

        if (n == 1 ? len == 1 && *q == *units[i].word : len >= n && strncmp(q, units[i].word, n) == 0) {
            *p = q + len;
            return units[i].ms;
        }
    }
    return 0;
}

/* The words before a number decide whether it is a wait. A number among them
 * makes it a rate ("30 messages in 60 minutes"). */
static bool is_awaited(const char *start, const char *p)
{
    bool wait = false;

    for (int i = 0; i < LOOK_BACK; i++) {
        size_t len = word_before(start, &p);

        if (len == 0)
            break;
        if (listed(p, len, " wait another penalty noch warten "))
            return true;
        if (is_digit(*p) || listed(p, len, " last past per every each max than exceeded exceeds deliver timeout timed out "
                                           "waited idle inactivity received data sent limit only "))
            return false;
        wait = wait || listed(p, len, " in for after within least dans nach apr\xc3\xa8s apres dentro ");
    }
    return wait;
}

static bool is_remaining(const char *p)
{
    p += strspn(p, " ");
    return strncmp(p, "remaining", 9) == 0 || strncmp(p, "left", 4) == 0 || strncmp(p, "to go", 5) == 0;
}

/* "5 minutes", "1h", "4 minutes and 30 seconds" */
static bool span(const char **p, int64_t *ms)
{
    const char *q = *p;
    int64_t n, u;

    for (*ms = 0; number(&q, 1, 7, &n) && (u = unit(&q)) > 0;) {
        *ms += n * u;
        *p = q;
        q += strspn(q, " ,");
        if (strncmp(q, "and ", 4) == 0)
            q += 4;
    }
    return *ms > 0;
}

/* "00:29:59" */
static bool clock_span(const char **p, int64_t *ms)
{
    const char *q = *p;
    int64_t h, m, s;

    if (!number(&q, 1, 3, &h) || !literal(&q, ':') || !number(&q, 2, 2, &m) || !literal(&q, ':') || !number(&q, 2, 2, &s))
        return false;
    *ms = h * HOUR + m * MINUTE + s * SECOND;
    *p = q;
    return true;
}

/* "retry-after: 300" */
static bool bare_seconds(const char *start, const char *p, int64_t *ms)
{
    const char *q = p;
    size_t len = word_before(start, &p);
    int64_t n;

    if (len == 0 || !listed(p, len, " after ") || (len = word_before(start, &p)) == 0 || !listed(p, len, " retry "))
        return false;
    if (!number(&q, 1, 6, &n))
        return false;
    *ms = n * SECOND;
    return true;
}

/* A number begins at P. */
static bool wait_at(const char *start, const char *p, int64_t *ms)
{
    const char *end = p;

    if (clock_span(&end, ms))
        return is_awaited(start, p);
    if (span(&end, ms))
        return is_awaited(start, p) || is_remaining(end);
    return bare_seconds(start, p, ms);
}

/* "in a minute", "another hour" */
static bool one_unit(const char *start, const char *p, int64_t *ms)
{
    const char *q = p;
    size_t len = word_before(start, &q);

    if (len == 0 || !listed(q, len, " a an one einer einem une un "))
        return false;
    len = word_before(start, &q);
    if (len == 0 || !listed(q, len, " in after another wait for nach dans "))
        return false;
    q = p;
    *ms = unit(&q);
    return *ms > 0 && q - p > 2;
}

int64_t hint_find(const char *text, struct wall now)
{
    char s[REPLY_TEXT_MAX];
    size_t n = 0;
    int64_t ms;

    for (; text[n] != '\0' && n < sizeof(s) - 1; n++)
        s[n] = text[n] >= 'A' && text[n] <= 'Z' ? (char)(text[n] - 'A' + 'a') : text[n] == '\n' ? ' ' : text[n];
    s[n] = '\0';
    ms = take_dates(s, now);
    for (const char *p = s; ms < 0 && *p != '\0';) {
        size_t digits = strspn(p, "0123456789"), letters = 0;

        while (digits == 0 && is_letter(p[letters]))
            letters++;
        if ((digits > 0 && !wait_at(s, p, &ms)) || (letters > 0 && !one_unit(s, p, &ms)))
            ms = -1;
        p += digits + letters > 0 ? digits + letters : 1;
    }
    return ms > HINT_MAX ? HINT_MAX : ms;
}
