/* err: why something failed: a class from sysexits(3), errno where there was
 * one, and one sentence, written once by the lowest function that knows.
 * Callers may add where (err_at), never rephrase. */
#ifndef ABIDE_COMMON_ERR_H
#define ABIDE_COMMON_ERR_H

#include <sysexits.h>

struct err {
    int class;                          /* EX_TEMPFAIL ...; 0: nothing failed */
    int sys;                            /* errno, or 0 */
    char text[512];                     /* no newline, no final full stop */
};

/* All return -1, so that a failing function can `return err_set(...)`. A null
 * pointer as err is allowed: the reason is then not wanted. errno is kept. */
int err_set(struct err *, int class, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same, with errno's own words behind a colon. */
int err_sys(struct err *, int class, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Puts "WHERE: " before the sentence. */
int err_at(struct err *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
