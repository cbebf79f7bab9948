/* buf: growable bytes with a hard maximum. A failure (out of memory, maximum
 * reached) is sticky: add at will, ask once with buf_ok(). A zeroed buf with a
 * maximum set is valid and empty; data is always followed by a NUL that does
 * not count, once anything was added. */
#ifndef ABIDE_COMMON_BUF_H
#define ABIDE_COMMON_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data;
    size_t len;
    size_t room;                        /* allocated */
    size_t max;                         /* len never exceeds it */
    bool failed;
};

#define BUF_INIT(max_bytes) { .max = (max_bytes) }

void buf_fini(struct buf *);            /* frees; leaves it empty and usable */
void buf_clear(struct buf *);           /* empty, not failed; keeps the memory */
bool buf_ok(const struct buf *);

/* Each returns buf_ok(). */
bool buf_add(struct buf *, const void *, size_t);
bool buf_str(struct buf *, const char *);
bool buf_char(struct buf *, char);
bool buf_printf(struct buf *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Drops the first n bytes (n <= len). */
void buf_consume(struct buf *, size_t n);

#endif
