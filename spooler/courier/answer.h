/* answer: what a DNS answer says. Pure: bytes in, values out. Every name that
 * leaves here is a host name (letters, digits, hyphens, underscores) in lower
 * case without a trailing dot; every count is bounded; CNAMEs are followed
 * within the answer. */
#ifndef ABIDE_COURIER_ANSWER_H
#define ABIDE_COURIER_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "spooler/courier/ip.h"
#include "spooler/link/wire.h"

enum {
    ANSWER_NAME_SIZE = 254,             /* RFC 1035 2.3.4, as text, with the NUL */
    ANSWER_IP_MAX = 8,                  /* addresses kept of one name and family */
    ANSWER_TTL_MIN_S = 60,
    ANSWER_TTL_MAX_S = 3600,
    ANSWER_NEGATIVE_TTL_MAX_S = 300
};

struct answer_host { uint16_t preference; char name[ANSWER_NAME_SIZE]; };

/* Sorted by preference; the best WIRE_HOST_MAX of them. */
struct answer_mx {
    unsigned nhost;
    struct answer_host host[WIRE_HOST_MAX];
    unsigned nrecord;                   /* MX records seen, usable or not */
    unsigned nnull;                     /* of them the null MX (RFC 7505) */
    uint32_t ttl_s;                     /* the least, clamped */
};

struct answer_ip {
    unsigned nip;
    struct ip ip[ANSWER_IP_MAX];
    uint32_t ttl_s;
};

/* A host name as we use it. False: not one. An IPv4 address is none. */
bool answer_name(const char *in, char out[ANSWER_NAME_SIZE]);

/* -1: the message is broken, or its CNAMEs go round. No records: 0, and empty. */
int answer_mx(const unsigned char *msg, size_t len, const char *name, struct answer_mx *);
int answer_ip(const unsigned char *msg, size_t len, const char *name, sa_family_t family, struct answer_ip *);

/* How long the absence may be believed (RFC 2308 5), clamped to 60..300 s. */
uint32_t answer_negative_ttl_s(const unsigned char *msg, size_t len);

/* Puts hosts of equal preference in random order. */
void answer_mx_shuffle(struct answer_mx *);
/* Host AT is ourselves: drops it and all of equal or worse preference (RFC 5321 5.1). */
void answer_mx_cut(struct answer_mx *, unsigned at);

#endif
