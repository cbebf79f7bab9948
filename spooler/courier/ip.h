/* ip: an IPv4 or IPv6 address as a value, and which addresses are our own. */
#ifndef ABIDE_COURIER_IP_H
#define ABIDE_COURIER_IP_H

#include <sys/socket.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

enum { IP_TEXT_SIZE = 46 };             /* INET6_ADDRSTRLEN */

/* All zero: none. An IPv4 address mapped into IPv6 is kept as what it is: IPv4. */
struct ip {
    sa_family_t family;                 /* AF_INET, AF_INET6 */
    unsigned char byte[16];
};

/* FAMILY's bytes: 4 or 16. */
struct ip ip_make(sa_family_t family, const void *bytes);
/* "192.0.2.1", "2001:db8::1": no brackets, no zone. */
bool ip_parse(const char *text, struct ip *);
/* "192.0.2.1:25", "[2001:db8::1]:25". */
bool ip_parse_port(const char *text, struct ip *, uint16_t *port_r);
/* A domain that is an address literal: "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 4.1.3). */
bool ip_parse_literal(const char *text, struct ip *);

const char *ip_format(const struct ip *, char out[IP_TEXT_SIZE]);
/* The opposite of ip_parse_literal(); SIZE of IP_TEXT_SIZE + 7 is enough. */
const char *ip_format_literal(const struct ip *, char *out, size_t size);

bool ip_equal(const struct ip *, const struct ip *);
/* No connection can be made to it: multicast, broadcast, link-local IPv6 (we
 * know no zone), reserved. */
bool ip_unusable(const struct ip *);

socklen_t ip_sockaddr(const struct ip *, uint16_t port, struct sockaddr_storage *);
bool ip_from_sockaddr(const struct sockaddr *, struct ip *);

/* Addresses that lead back to this machine: loopback and unspecified ones,
 * always, and what was added. Zero is a valid empty one. */
struct ip_own {
    struct ip *ip;
    size_t n;
};

/* Adds the addresses of every interface that is not a loopback one. */
int ip_own_load(struct ip_own *, struct err *);
int ip_own_add(struct ip_own *, const struct ip *, struct err *);
void ip_own_fini(struct ip_own *);
bool ip_is_own(const struct ip_own *, const struct ip *);

#endif
