/* scratch: directories for tests that touch the disk. */
#ifndef ABIDE_TESTS_UNIT_SCRATCH_H
#define ABIDE_TESTS_UNIT_SCRATCH_H

#include <stddef.h>
#include <sys/types.h>

struct msgid;
struct spool;

enum { SCRATCH_SIZE = 200 };

/* A new directory below $ABIDE_TMP, or /tmp. */
void scratch_make(char dir[SCRATCH_SIZE]);

/* Removes it with all that is in it. */
void scratch_remove(const char *dir);

/* DIR/NAME with these bytes and this mode. */
void scratch_write(const char *dir, const char *name, const void *bytes, size_t len, unsigned mode);

/* A private spool DIR/spool, opened. */
struct spool *scratch_spool(const char *dir);

/* Puts a message into new/ by the proper way: from UID, from a@example.org, to
 * NRCPT recipients r0@example.org ... */
void scratch_message(struct spool *, uid_t uid, unsigned nrcpt, const char *body, struct msgid *id_r);

/* How many names lie in DIR/NAME. */
size_t scratch_count(const char *dir, const char *name);

#endif
