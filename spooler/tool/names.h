/* names: the queue names somebody means, found in cur/ and hold/. */
#ifndef ABIDE_TOOL_NAMES_H
#define ABIDE_TOOL_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/msgid.h"
#include "common/spool.h"

struct envelope;
struct err;
struct trail;
struct what;

struct found {
    struct qname name;
    enum spool_dir where;               /* SPOOL_CUR or SPOOL_HOLD */
    uint32_t dir;                       /* the domain's directory, an index of names.dir */
    bool shared;                        /* meant by one address, and it waits for others of that domain too */
};

struct names {
    struct spool *spool;                /* borrowed */
    struct found *at;                   /* directory by directory */
    size_t n, room;
    char (*dir)[SPOOL_DOMAIN_SIZE];
    size_t ndir, dir_room;
};

/* Reads the names; marks what was met. A message is opened only if an address
 * is asked for. */
int names_collect(struct names *, struct what *, size_t nwhat, struct err *);
void names_fini(struct names *);

/* "DIRECTORY/NAME", the path below cur/ or hold/. */
enum { NAMES_PATH_SIZE = SPOOL_DOMAIN_SIZE + QNAME_SIZE };
void names_path(const char *dir, const struct qname *, char out[NAMES_PATH_SIZE]);

/* The name was renamed by the spooler: looks for its ID in the same directory.
 * False: it is not there any more. */
bool names_again(const struct names *, struct found *);

/* Opens the message and its trail; both are the caller's to end. */
int names_read(const struct names *, const struct found *, struct envelope *, struct trail *, struct err *);

#endif
