/* ip: network addresses as values: text to bytes and back, and the set of our
 * own. Reads the interfaces once, at start; no other system call. Called by
 * resolve, mx, dial and courier. */
#include <config.h>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "spooler/courier/ip.h"

static size_t ip_size(const struct ip *ip)
{
    return ip->family == AF_INET ? 4 : 16;
}

struct ip ip_make(sa_family_t family, const void *bytes)
{
    static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
    struct ip ip = { .family = family };

    if (family == AF_INET6 && memcmp(bytes, mapped, sizeof(mapped)) == 0) {
        ip.family = AF_INET;
        bytes = (const unsigned char *)bytes + sizeof(mapped);
    }
    memcpy(ip.byte, bytes, ip_size(&ip));
    return ip;
}

bool ip_parse(const char *text, struct ip *ip)
{
    unsigned char bytes[16];

    if (inet_pton(AF_INET, text, bytes) == 1)
        *ip = ip_make(AF_INET, bytes);
    else if (inet_pton(AF_INET6, text, bytes) == 1)
        *ip = ip_make(AF_INET6, bytes);
    else
        return false;
    return true;
}

/* The LEN bytes at TEXT. */
static bool ip_parse_part(const char *text, size_t len, struct ip *ip)
{
    char copy[IP_TEXT_SIZE];

    if (len >= sizeof(copy))
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return ip_parse(copy, ip);
}

bool ip_parse_port(const char *text, struct ip *ip, uint16_t *port_r)
{
    const char *colon = strrchr(text, ':');
    const char *wrong;
    bool brackets = text[0] == '[';

    if (colon == NULL || (brackets && (colon < text + 2 || colon[-1] != ']')))
        return false;
    *port_r = (uint16_t)strtonum(colon + 1, 1, UINT16_MAX, &wrong);
    if (wrong != NULL)
        return false;
    if (brackets)
        return ip_parse_part(text + 1, (size_t)(colon - text) - 2, ip);
    return strchr(text, ':') == colon && ip_parse_part(text, (size_t)(colon - text), ip);
}

bool ip_parse_literal(const char *text, struct ip *ip)
{
    size_t len = strlen(text);

    if (len < 3 || text[0] != '[' || text[len - 1] != ']')
        return false;
    if (strncasecmp(text + 1, "IPv6:", 5) == 0)
        return ip_parse_part(text + 6, len - 7, ip);
    return ip_parse_part(text + 1, len - 2, ip) && ip->family == AF_INET;
}

const char *ip_format(const struct ip *ip, char out[IP_TEXT_SIZE])
{
    if (ip->family == 0 || inet_ntop(ip->family, ip->byte, out, IP_TEXT_SIZE) == NULL)
        out[0] = '\0';
    return out;
}

const char *ip_format_literal(const struct ip *ip, char *out, size_t size)
{
    char text[IP_TEXT_SIZE];

    snprintf(out, size, "[%s%s]", ip->family == AF_INET6 ? "IPv6:" : "", ip_format(ip, text));
    return out;
}

bool ip_equal(const struct ip *a, const struct ip *b)
{
    return a->family == b->family && memcmp(a->byte, b->byte, sizeof(a->byte)) == 0;
}

bool ip_unusable(const struct ip *ip)
{
    if (ip->family == AF_INET)
        return ip->byte[0] >= 224;
    return ip->byte[0] == 0xff || (ip->byte[0] == 0xfe && (ip->byte[1] & 0xc0) == 0x80);
}

socklen_t ip_sockaddr(const struct ip *ip, uint16_t port, struct sockaddr_storage *out)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

    memset(out, 0, sizeof(*out));
    if (ip->family == AF_INET) {
        memcpy(&in.sin_addr, ip->byte, 4);
        memcpy(out, &in, sizeof(in));
        return sizeof(in);
    }
    memcpy(&in6.sin6_addr, ip->byte, 16);
    memcpy(out, &in6, sizeof(in6));
    return sizeof(in6);
}

bool ip_from_sockaddr(const struct sockaddr *sa, struct ip *ip)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    if (sa->sa_family == AF_INET) {
        memcpy(&in, sa, sizeof(in));
        *ip = ip_make(AF_INET, &in.sin_addr);
    } else if (sa->sa_family == AF_INET6) {
        memcpy(&in6, sa, sizeof(in6));
        *ip = ip_make(AF_INET6, &in6.sin6_addr);
    } else {
        return false;
    }
    return true;
}

int ip_own_add(struct ip_own *own, const struct ip *ip, struct err *e)
{
    struct ip *grown = reallocarray(own->ip, own->n + 1, sizeof(*grown));

    if (grown == NULL)
        return err_sys(e, EX_OSERR, "addresses of our own");
    grown[own->n++] = *ip;
    own->ip = grown;
    return 0;
}

int ip_own_load(struct ip_own *own, struct err *e)
{
    struct ifaddrs *list, *i;
    struct ip ip;
    int rc = 0;

    if (getifaddrs(&list) == -1)
        return err_sys(e, EX_OSERR, "addresses of our own");
    for (i = list; i != NULL && rc == 0; i = i->ifa_next)
        if (i->ifa_addr != NULL && (i->ifa_flags & IFF_LOOPBACK) == 0 && ip_from_sockaddr(i->ifa_addr, &ip) && !ip_unusable(&ip))
            rc = ip_own_add(own, &ip, e);
    freeifaddrs(list);
    return rc;
}

void ip_own_fini(struct ip_own *own)
{
    free(own->ip);
    *own = (struct ip_own){ 0 };
}

static bool ip_is_loopback(const struct ip *ip)
{
    static const unsigned char zero[15];

    if (ip->family == AF_INET)
        return ip->byte[0] == 127 || ip->byte[0] == 0;
    return memcmp(ip->byte, zero, sizeof(zero)) == 0 && ip->byte[15] <= 1;
}

bool ip_is_own(const struct ip_own *own, const struct ip *ip)
{
    if (ip_is_loopback(ip))
        return true;
    for (size_t i = 0; i < own->n; i++)
        if (ip_equal(&own->ip[i], ip))
            return true;
    return false;
}
