/* mime_plan: private to mime.c and mime_plan.c: the message as a list of
 * ranges, each with what becomes of it, and the window both passes read by. */
#ifndef ABIDE_COMMON_MIME_PLAN_H
#define ABIDE_COMMON_MIME_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/mime.h"

struct err;

enum { SOURCE_SIZE = 64 * 1024 };

struct source {
    struct mime_options options;
    uint64_t at;                        /* what of the message is in data */
    size_t len;
    char data[SOURCE_SIZE];
};

/* The bytes at AT: WANT (at most half of SOURCE_SIZE) of them or more, fewer
 * only at the end of the message. *got_r is their number. NULL: unreadable. */
const char *source_at(struct source *, uint64_t at, size_t want, size_t *got_r, struct err *);

enum segment_kind {
    SEGMENT_COPY,
    SEGMENT_HEADER,                     /* over-long lines folded, some fields dropped and added */
    SEGMENT_QP, SEGMENT_BASE64,         /* encoded */
    SEGMENT_QP_MEND, SEGMENT_BASE64_WRAP    /* was encoded already: made to keep the rules */
};

/* What a header loses and gains. */
enum {
    HEADER_RELABEL = 1,                 /* Content-Transfer-Encoding goes if anything in the message is changed */
    HEADER_DROP_ENCODING = 2,
    HEADER_ADD_VERSION = 4,
    HEADER_ADD_UTF8 = 8, HEADER_ADD_UNKNOWN = 16, HEADER_ADD_ASCII = 32,    /* Content-Type with that charset */
    HEADER_ADD_QP = 64, HEADER_ADD_BASE64 = 128,
    HEADER_END = 256                    /* the empty line */
};

struct segment {
    enum segment_kind kind;
    unsigned header;
    uint64_t from, to;
};

struct plan {
    struct segment *segment;
    size_t count, room;
    bool changed;
};

/* -1: see mime_new(). *PLAN_R is zero before, and the caller's to free. */
int plan_make(struct source *, struct plan *plan_r, struct err *);
void plan_fini(struct plan *);

/* Where to fold a header line of which N bytes follow, more than
 * MIME_LINE_MAX: the blank that begins the next line. 0: nowhere. */
size_t plan_fold_point(const char *line, size_t n);

/* True if a field of this name begins at LINE (ASCII case ignored). */
bool plan_field_is(const char *line, size_t n, const char *name);

#endif
