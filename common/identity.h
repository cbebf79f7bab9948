/* identity: our own name: for EHLO, Message-ID and qualification. */
#ifndef ABIDE_COMMON_IDENTITY_H
#define ABIDE_COMMON_IDENTITY_H

#include <stdbool.h>
#include <sys/types.h>

struct config;

enum { IDENTITY_SIZE = 256 };

struct identity {
    char hostname[IDENTITY_SIZE];       /* a valid FQDN; ends in .invalid where none was found */
    char domain[IDENTITY_SIZE];         /* qualifies bare names: config's `domain`, else hostname */
    bool made_up;                       /* nothing told us our name: worth a log line, and EHLO says an address literal */
};

/* `hostname` of the configuration, else /etc/mailname, else gethostname() where
 * it has a dot, else its alias with a dot in the hosts file, else
 * NAME.invalid. Never localhost. No NSS, no DNS: a front must start fast. */
void identity_find(const struct config *, struct identity *);

/* The same from other places (tests). NODE is what gethostname() says. */
struct identity_places { const char *mailname, *hosts, *node; };
void identity_find_in(const struct config *, const struct identity_places *, struct identity *);

/* A host name by RFC 1123 2.1; underscores pass, since container networks have
 * them. Numbers such as "25" or "1.2.3.4" are none. */
bool identity_host_valid(const char *);

/* A name we may show to the world: fully qualified, letters, digits and
 * hyphens, and not localhost in any of its dresses. */
bool identity_name_valid(const char *);

/* The login name of UID: passwd, else "uid54321". GECOS (full name up to the
 * first comma, & expanded, control bytes made blanks) or "". */
void identity_user(uid_t, char *name, size_t name_size, char *full, size_t full_size);

#endif
