/* rfc5322: the header of a message as a sequence of fields; dates are
 * clock_date(). Pure. Lines end in LF here. */
#ifndef ABIDE_COMMON_RFC5322_H
#define ABIDE_COMMON_RFC5322_H

#include <stdbool.h>
#include <stddef.h>

struct buf;

/* One field, pointing into the caller's bytes; value is behind the colon,
 * folded as given, without the final line end. */
struct field {
    const char *start;                  /* of the name */
    size_t len;                         /* whole field with its line end(s) */
    size_t name_len;                    /* blanks before the colon not counted (RFC 5322 4.5) */
    const char *value;
    size_t value_len;
};

/* The field at *pos, which moves behind it. False: no field begins there (the
 * empty line, end, or a line that is no field: the body begins there). */
bool field_next(const char *header, size_t len, size_t *pos, struct field *);

bool field_is(const struct field *, const char *name);  /* ASCII case ignored */
bool field_blank(const struct field *);                 /* nothing but white space as value */

/* VALUE unfolded: line ends dropped, tabs and control bytes made blanks, blanks
 * around it taken off; cut to size. */
void field_unfold(const struct field *, char *out, size_t size);

/* Appends NAME as a display name for a mailbox: atom words as they are,
 * otherwise a quoted-string; 8-bit as RFC 2047 encoded words (utf-8 if it
 * validates, else unknown-8bit), several of them folded; control bytes made
 * blanks. Blanks around it are dropped; of nothing nothing is written. */
void rfc5322_phrase(struct buf *, const char *name);

#endif
