/* answer: reads DNS answers, which anybody may have written. Owns nothing,
 * does no I/O, keeps no byte of the message. libc's ns_parserr() watches the
 * bounds; names are checked here before anybody uses one as text. Called by
 * resolve and mx. */
#include <config.h>

#include <sys/types.h>
#include <netinet/in.h>
#include <arpa/nameser.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "spooler/courier/answer.h"

enum { CNAMES_MAX = 12, LABEL_MAX = 63 };

bool answer_name(const char *in, char out[ANSWER_NAME_SIZE])
{
    size_t label = 0, n = 0;
    struct ip ip;

    for (; *in != '\0' && !(*in == '.' && in[1] == '\0'); in++) {
        unsigned char b = (unsigned char)*in;
        if (n == ANSWER_NAME_SIZE - 1)
            return false;
        if (b == '.') {
            if (label == 0)
                return false;
            label = 0;
        } else if (!((b < 0x80 && isalnum(b)) || b == '-' || b == '_') || ++label > LABEL_MAX) {
            return false;
        }
        out[n++] = (char)tolower(b);
    }
    out[n] = '\0';
    return label > 0 && !ip_parse(out, &ip);
}

static uint32_t clamp(uint32_t value, uint32_t min, uint32_t max)
{
    return value < min ? min : value > max ? max : value;
}

/* What one pass over the answer section looks for: the records of TYPE that
 * belong to NAME, or to what its CNAMEs lead to. */
struct reader {
    ns_msg msg;
    ns_type type;
    char name[NS_MAXDNAME];
    uint32_t ttl_s;
};

static bool rr_is(const ns_rr *rr, const struct reader *r, ns_type type)
{
    return ns_rr_class(*rr) == ns_c_in && ns_rr_type(*rr) == type && strcasecmp(ns_rr_name(*rr), r->name) == 0;
}

/* A TTL with the highest bit set counts as 0 (RFC 2181 8). */
static void ttl_note(struct reader *r, const ns_rr *rr)
{
    uint32_t ttl_s = ns_rr_ttl(*rr) > INT32_MAX ? 0 : ns_rr_ttl(*rr);

    if (ttl_s < r->ttl_s)
        r->ttl_s = ttl_s;
}

static int name_uncompress(const struct reader *r, const unsigned char *at, size_t room, char out[NS_MAXDNAME])
{
    int used = ns_name_uncompress(ns_msg_base(r->msg), ns_msg_end(r->msg), at, out, NS_MAXDNAME);

    return used == -1 || (size_t)used != room ? -1 : 0;
}

/* One CNAME further. 1: found one, 0: there is none. */
static int cname_step(struct reader *r)
{
    char target[NS_MAXDNAME];
    ns_rr rr;

    for (int i = 0; i < ns_msg_count(r->msg, ns_s_an); i++) {
        if (ns_parserr(&r->msg, ns_s_an, i, &rr) == -1)
            return -1;
        if (!rr_is(&rr, r, ns_t_cname))
            continue;
        if (name_uncompress(r, ns_rr_rdata(rr), ns_rr_rdlen(rr), target) == -1)
            return -1;
        strlcpy(r->name, target, sizeof(r->name));
        ttl_note(r, &rr);
        return 1;
    }
    return 0;
}

static int reader_init(struct reader *r, const unsigned char *msg, size_t len, const char *name, ns_type type)
{
    int step = 1;

    memset(r, 0, sizeof(*r));
    r->type = type;
    r->ttl_s = UINT32_MAX;
    if (len > NS_MAXMSG || ns_initparse(msg, (int)len, &r->msg) == -1)
        return -1;
    if (strlcpy(r->name, name, sizeof(r->name)) >= sizeof(r->name))
        return -1;
    for (int i = 0; step == 1; i++)
        if (i > CNAMES_MAX || (step = cname_step(r)) == -1)
            return -1;
    return 0;
}

/* The next record wanted, *at counting. 1: there is one, 0: no more. */
static int reader_next(struct reader *r, int *at, ns_rr *rr)
{
    while (*at < ns_msg_count(r->msg, ns_s_an)) {
        if (ns_parserr(&r->msg, ns_s_an, (*at)++, rr) == -1)
            return -1;
        if (!rr_is(rr, r, r->type))
            continue;
        ttl_note(r, rr);
        return 1;
    }
    return 0;
}

/* Removes host AT. */
static void mx_remove(struct answer_mx *mx, unsigned at)
{
    mx->nhost--;
    memmove(&mx->host[at], &mx->host[at + 1], (mx->nhost - at) * sizeof(mx->host[0]));
}

/* False: it is there already with a preference as good. */
static bool mx_supersede(struct answer_mx *mx, const struct answer_host *h)
{
    for (unsigned i = 0; i < mx->nhost; i++)
        if (strcmp(mx->host[i].name, h->name) == 0) {
            if (mx->host[i].preference <= h->preference)
                return false;
            mx_remove(mx, i);
            return true;
        }
    return true;
}

static void mx_insert(struct answer_mx *mx, const struct answer_host *h)
{
    unsigned at;

    if (!mx_supersede(mx, h))
        return;
    if (mx->nhost == WIRE_HOST_MAX) {
        if (mx->host[WIRE_HOST_MAX - 1].preference <= h->preference)
            return;
        mx->nhost--;
    }
    for (at = mx->nhost; at > 0 && mx->host[at - 1].preference > h->preference; at--)
        mx->host[at] = mx->host[at - 1];
    mx->host[at] = *h;
    mx->nhost++;
}

static int mx_add(struct answer_mx *mx, const struct reader *r, const ns_rr *rr)
{
    struct answer_host host;
    char name[NS_MAXDNAME];

    if (ns_rr_rdlen(*rr) < 3 || name_uncompress(r, ns_rr_rdata(*rr) + 2, ns_rr_rdlen(*rr) - 2u, name) == -1)
        return -1;
    mx->nrecord++;
    host.preference = (uint16_t)ns_get16(ns_rr_rdata(*rr));
    if (name[0] == '\0' || strcmp(name, ".") == 0)
        mx->nnull++;
    else if (answer_name(name, host.name))
        mx_insert(mx, &host);
    return 0;
}

int answer_mx(const unsigned char *msg, size_t len, const char *name, struct answer_mx *mx)
{
    struct reader r;
    ns_rr rr;
    int at = 0, got;

    memset(mx, 0, sizeof(*mx));
    if (reader_init(&r, msg, len, name, ns_t_mx) == -1)
        return -1;
    while ((got = reader_next(&r, &at, &rr)) == 1)
        if (mx_add(mx, &r, &rr) == -1)
            return -1;
    mx->ttl_s = clamp(r.ttl_s, ANSWER_TTL_MIN_S, ANSWER_TTL_MAX_S);
    return got;
}

int answer_ip(const unsigned char *msg, size_t len, const char *name, sa_family_t family, struct answer_ip *out)
{
    size_t size = family == AF_INET ? 4 : 16;
    struct reader r;
    struct ip ip;
    ns_rr rr;
    int at = 0, got;

    memset(out, 0, sizeof(*out));
    if (reader_init(&r, msg, len, name, family == AF_INET ? ns_t_a : ns_t_aaaa) == -1)
        return -1;
    while ((got = reader_next(&r, &at, &rr)) == 1) {
        if (ns_rr_rdlen(rr) != size)
            return -1;
        ip = ip_make(family, ns_rr_rdata(rr));
        if (!ip_unusable(&ip) && out->nip < ANSWER_IP_MAX)
            out->ip[out->nip++] = ip;
    }
    out->ttl_s = clamp(r.ttl_s, ANSWER_TTL_MIN_S, ANSWER_TTL_MAX_S);
    return got;
}

/* The last of the five numbers behind the two names of an SOA record. */
static bool soa_minimum(const ns_msg *m, const ns_rr *rr, uint32_t *out)
{
    const unsigned char *at = ns_rr_rdata(*rr), *end = at + ns_rr_rdlen(*rr);

    if (ns_name_skip(&at, end) == -1 || ns_name_skip(&at, end) == -1 || end - at != 20 || end > ns_msg_end(*m))
        return false;
    *out = (uint32_t)ns_get32(at + 16);
    return true;
}

uint32_t answer_negative_ttl_s(const unsigned char *msg, size_t len)
{
    uint32_t minimum, ttl_s = ANSWER_TTL_MIN_S;
    ns_msg m;
    ns_rr rr;

    if (len > NS_MAXMSG || ns_initparse(msg, (int)len, &m) == -1)
        return ttl_s;
    for (int i = 0; i < ns_msg_count(m, ns_s_ns) && ns_parserr(&m, ns_s_ns, i, &rr) == 0; i++)
        if (ns_rr_type(rr) == ns_t_soa && soa_minimum(&m, &rr, &minimum))
            ttl_s = minimum < ns_rr_ttl(rr) ? minimum : ns_rr_ttl(rr);
    return clamp(ttl_s, ANSWER_TTL_MIN_S, ANSWER_NEGATIVE_TTL_MAX_S);
}

void answer_mx_shuffle(struct answer_mx *mx)
{
    for (unsigned start = 0, end; start < mx->nhost; start = end) {
        for (end = start + 1; end < mx->nhost && mx->host[end].preference == mx->host[start].preference; end++)
            ;
        for (unsigned i = end - 1; i > start; i--) {
            unsigned j = start + arc4random_uniform(i - start + 1);
            struct answer_host kept = mx->host[i];
            mx->host[i] = mx->host[j];
            mx->host[j] = kept;
        }
    }
}

void answer_mx_cut(struct answer_mx *mx, unsigned at)
{
    while (mx->nhost > 0 && mx->host[mx->nhost - 1].preference >= mx->host[at].preference)
        mx->nhost--;
}
