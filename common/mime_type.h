/* mime_type: what a Content-Type field says (RFC 2045 5.1). Pure. */
#ifndef ABIDE_COMMON_MIME_TYPE_H
#define ABIDE_COMMON_MIME_TYPE_H

#include <stdbool.h>

enum { MIME_BOUNDARY_MAX = 200, MIME_WORD_MAX = 40 };

struct mime_type {
    char major[MIME_WORD_MAX];          /* lower case; "" where there is none or it is too long to be known */
    char minor[MIME_WORD_MAX];
    char boundary[MIME_BOUNDARY_MAX + 1];   /* "" where there is none, or it is too long */
    bool digest;                        /* multipart/digest: parts are messages unless they say otherwise */
};

/* VALUE may be folded, with comments. */
void mime_type_parse(const char *value, struct mime_type *);

#endif
