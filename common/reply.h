/* reply: an SMTP reply (RFC 5321 4.2), read incrementally and within bounds.
 * Pure. */
#ifndef ABIDE_COMMON_REPLY_H
#define ABIDE_COMMON_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    REPLY_TEXT_MAX = 1000,              /* text kept, NUL included; the rest is read and dropped */
    REPLY_LINE_MAX = 4096,              /* a longer line is no reply */
    REPLY_LINES_MAX = 512,
    REPLY_ENH_MAX = 12
};

struct reply {
    int code;                           /* 200..599; 0: none was had */
    unsigned lines;
    char enh[REPLY_ENH_MAX];            /* "4.7.1" (RFC 3463) if the first line begins with one, else "" */
    char text[REPLY_TEXT_MAX];          /* lines joined by '\n', without codes and the first enhanced code;
                                           control bytes (but '\n') made '?', UTF-8 and 8-bit bytes kept */
};

enum reply_got {
    REPLY_MORE,                         /* all input eaten, the reply is not complete */
    REPLY_WHOLE,                        /* one reply in *reply_r; input behind it was not eaten */
    REPLY_BROKEN                        /* not SMTP, or a bound passed: believe nothing more */
};

/* Between replies the whole struct is zero. */
struct reply_parser {
    char line[REPLY_LINE_MAX];
    size_t len;
    struct reply reply;
    size_t text_len;
};

/* Eats from *in, *len. One written rule for what is tolerated: a bare LF ends
 * a line as CRLF does; a missing text is allowed; codes that differ between
 * the lines are REPLY_BROKEN, as is 1yz or a code outside 200..599. An
 * enhanced code whose class is not the code's stays in the text. Once BROKEN,
 * a parser stays so until it is zeroed. */
enum reply_got reply_feed(struct reply_parser *, const char **in, size_t *len, struct reply *reply_r);

/* True while bytes of an unfinished reply are held. */
bool reply_pending(const struct reply_parser *);

/* A reply out of text as logs, trail and people write it: "421 4.7.0 slow
 * down", further lines behind " / " or newlines, their codes dropped.
 * False if it does not begin with a code. */
bool reply_parse(const char *text, struct reply *);

/* The reverse, on one line: "421 4.7.0 slow down / second line". Returns OUT. */
const char *reply_format(const struct reply *, char *out, size_t size);

#endif
