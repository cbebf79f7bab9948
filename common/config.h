/* config: /etc/abide.conf, flat: `name value...` a line, # comments. The names,
 * types, bounds and defaults are the table in config_keys.c; the man page
 * abide.conf(5) tells them to people. A config is immutable once loaded. */
#ifndef ABIDE_COMMON_CONFIG_H
#define ABIDE_COMMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/cause.h"
#include "common/log.h"

struct buf;
struct err;

enum ip_family { IP_BOTH, IP_4, IP_6 };
enum { CONFIG_SCHEDULE_MAX = 16, CONFIG_SOURCES_MAX = 16 };

struct config_route { char *domain; char *host; unsigned port; };   /* `route DOMAIN HOST[:PORT]`; domain "*.x" matches below x */

/* `limit SITE name=value...`; a value of 0 is "not said". */
struct config_limit {
    char *site;
    unsigned connections;
    unsigned messages;                  /* per connection */
    unsigned recipients;                /* per transaction */
    unsigned rate_per_minute;           /* messages */
};

struct config {
    char *path;                         /* "" where there was no file */
    /* where to */
    char *relay_host;                   /* "" : straight to MX. [v6] without brackets */
    unsigned relay_port;
    struct config_route *route;
    size_t nroute;
    char *resolver;                     /* "" or ADDRESS:PORT / [V6]:PORT */
    unsigned mx_port;
    enum ip_family ip;
    char *source[CONFIG_SOURCES_MAX];   /* local addresses to send from */
    size_t nsource;
    /* who */
    char *hostname;                     /* "" : see common/identity */
    char *domain;                       /* "" : the hostname */
    char *root;                         /* "" : none */
    /* submission */
    char *spool;
    bool spooler_auto;
    uint64_t max_size;                  /* bytes of message; 0: none */
    unsigned max_recipients;
    uint64_t min_free;                  /* bytes */
    /* waiting */
    int64_t schedule_ms[CONFIG_SCHEDULE_MAX];
    size_t nschedule;
    int64_t lifetime_ms;
    int64_t warn_after_ms;              /* 0: never */
    struct config_limit *limit;
    size_t nlimit;
    int64_t timeout_ms[PHASE_COUNT];    /* RFC 5321 4.5.3.2 as defaults */
    int64_t queue_run_ms;               /* how often new/ is looked at without being told */
    /* telling */
    char *log;                          /* syslog, stderr or a path */
    enum level log_level;
    bool bounce_whole;
};

/* Loads PATH; a file that does not exist is all defaults. -1: at least one
 * line is wrong (EX_CONFIG, "FILE:LINE: ..." with the nearest known name), or
 * the file cannot be read (EX_NOINPUT/EX_OSERR); *config_r then still holds
 * everything that could be understood, so that the front accepts mail. Only
 * out of memory leaves NULL. */
int config_load(const char *path, struct config **config_r, struct err *);
int config_parse(const char *name, const char *text, size_t len, struct config **config_r, struct err *);
void config_free(struct config *);

/* All errors of the file, one line each, into BUF (for --check). Returns their number. */
unsigned config_check(const char *name, const char *text, size_t len, struct buf *);

/* The same for a file. -1: it cannot be read, or is not there (EX_NOINPUT). */
int config_check_file(const char *path, struct buf *, struct err *);

/* The file to read: OPTION (-C) or $ABIDE_CONF unless PRIVILEGED, else the
 * built-in path. */
const char *config_file(const char *option, bool privileged);

#endif
