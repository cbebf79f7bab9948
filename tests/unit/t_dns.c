/* What DNS answers say, which host names are believed, who we are, in which
 * order addresses are tried: the pure parts of the courier's look-ups. */
#include <config.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spooler/courier/answer.h"
#include "spooler/courier/dial.h"
#include "tests/unit/unit.h"

/* ---- messages ---------------------------------------------------------- */

enum { A = 1, CNAME = 5, SOA = 6, MX = 15, AAAA = 28 };

struct message {
    unsigned char bytes[60000];
    size_t len;
};

static void put(struct message *m, const void *bytes, size_t len)
{
    ck_assert_uint_le(m->len + len, sizeof(m->bytes));
    memcpy(m->bytes + m->len, bytes, len);
    m->len += len;
}

static void put16(struct message *m, unsigned value)
{
    put(m, (unsigned char[]){ (unsigned char)(value >> 8), (unsigned char)value }, 2);
}

static void put32(struct message *m, uint32_t value)
{
    put16(m, value >> 16);
    put16(m, value & 0xffff);
}

/* "a.b", or wire form behind a '!': "!\3a.b". */
static void put_name(struct message *m, const char *name)
{
    size_t len;

    if (name[0] == '!') {
        put(m, name + 1, strlen(name));
        return;
    }
    for (; *name != '\0'; name += len + (name[len] == '.')) {
        len = strcspn(name, ".");
        put(m, (unsigned char[]){ (unsigned char)len }, 1);
        put(m, name, len);
    }
    put(m, "", 1);
}

/* Section counts are those of the header: answer 6, authority 8. */
static void rr_begin(struct message *m, unsigned section, const char *name, unsigned type, uint32_t ttl_s)
{
    m->bytes[section + 1]++;
    if (m->bytes[section + 1] == 0)
        m->bytes[section]++;
    put_name(m, name);
    put16(m, type);
    put16(m, 1);
    put32(m, ttl_s);
    put16(m, 0);
}

static void rr_end(struct message *m, size_t start)
{
    size_t len = m->len - start;

    m->bytes[start - 2] = (unsigned char)(len >> 8);
    m->bytes[start - 1] = (unsigned char)len;
}

static void begin(struct message *m, const char *name, unsigned type)
{
    memset(m, 0, sizeof(*m));
    put(m, (unsigned char[]){ 0, 7, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0 }, 12);
    put_name(m, name);
    put16(m, type);
    put16(m, 1);
}

static void add_mx(struct message *m, const char *name, uint32_t ttl_s, unsigned preference, const char *host)
{
    rr_begin(m, 6, name, MX, ttl_s);
    size_t start = m->len;
    put16(m, preference);
    put_name(m, host);
    rr_end(m, start);
}

static void add_cname(struct message *m, const char *name, uint32_t ttl_s, const char *target)
{
    rr_begin(m, 6, name, CNAME, ttl_s);
    size_t start = m->len;
    put_name(m, target);
    rr_end(m, start);
}

static void add_ip(struct message *m, const char *name, uint32_t ttl_s, const char *text)
{
    unsigned char bytes[16];
    bool six = inet_pton(AF_INET6, text, bytes) == 1;

    ck_assert(six || inet_pton(AF_INET, text, bytes) == 1);
    rr_begin(m, 6, name, six ? AAAA : A, ttl_s);
    size_t start = m->len;
    put(m, bytes, six ? 16 : 4);
    rr_end(m, start);
}

static void add_soa(struct message *m, uint32_t ttl_s, uint32_t minimum)
{
    rr_begin(m, 8, "test", SOA, ttl_s);
    size_t start = m->len;
    put_name(m, "ns.test");
    put_name(m, "root.test");
    for (unsigned i = 0; i < 4; i++)
        put32(m, 1);
    put32(m, minimum);
    rr_end(m, start);
}

/* ---- names ------------------------------------------------------------- */

#define L63 "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabc"

static const struct { const char *name, *in, *out; } names[] = {
    { "plain", "mx.example.com", "mx.example.com" },
    { "case", "MX.Example.COM", "mx.example.com" },
    { "trailing dot", "mx.example.com.", "mx.example.com" },
    { "one label", "localhost", "localhost" },
    { "underscore", "_mail.example.com", "_mail.example.com" },
    { "digits", "1.2.3.4.example", "1.2.3.4.example" },
    { "longest label", L63 ".x", L63 ".x" },
    { "longest name", L63 "." L63 "." L63 ".abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghija", L63 "." L63 "." L63 ".abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghija" },
    { "empty", "", NULL },
    { "root", ".", NULL },
    { "empty label", "a..b", NULL },
    { "leading dot", ".a", NULL },
    { "two dots at the end", "a..", NULL },
    { "label of 64", L63 "d.x", NULL },
    { "name of 254", L63 "." L63 "." L63 ".abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijab", NULL },
    { "blank", "a b.c", NULL },
    { "quote", "a\"b.c", NULL },
    { "slash", "../../etc/passwd", NULL },
    { "escape sequence", "a\033[2J.b", NULL },
    { "escaped dot", "a\\.b", NULL },
    { "NUL as libc escapes it", "a\\000b.c", NULL },
    { "8-bit", "m\xc3\xbcller.de", NULL },
    { "brackets", "[1.2.3.4]", NULL },
    { "IPv4 address", "1.2.3.4", NULL },
    { "IPv6 address", "2001:db8::1", NULL },
};

START_TEST(name)
{
    char out[ANSWER_NAME_SIZE];
    bool good = answer_name(names[_i].in, out);

    ck_assert_msg(good == (names[_i].out != NULL), "%s", names[_i].name);
    if (good)
        ck_assert_msg(strcmp(out, names[_i].out) == 0, "%s: %s", names[_i].name, out);
}
END_TEST

/* ---- MX ---------------------------------------------------------------- */

/* "10:a.test 20:b.test" */
static const char *hosts_of(const struct answer_mx *mx)
{
    static char text[WIRE_HOST_MAX * 300];

    text[0] = '\0';
    for (unsigned i = 0; i < mx->nhost; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%u:%s", i > 0 ? " " : "", mx->host[i].preference, mx->host[i].name);
    return text;
}

static const struct {
    const char *name;
    struct { const char *owner; unsigned preference; const char *host; } mx[5];     /* no owner: d.test */
    const char *want;
    unsigned nrecord, nnull;
} mxs[] = {
    { "one", { { NULL, 10, "a.test" } }, "10:a.test", 1, 0 },
    { "sorted", { { NULL, 30, "c.test" }, { NULL, 10, "a.test" }, { NULL, 20, "b.test" } }, "10:a.test 20:b.test 30:c.test", 3, 0 },
    { "extremes", { { NULL, 65535, "z.test" }, { NULL, 0, "a.test" } }, "0:a.test 65535:z.test", 2, 0 },
    { "null", { { NULL, 0, "" } }, "", 1, 1 },
    { "null beside another", { { NULL, 0, "" }, { NULL, 10, "a.test" } }, "10:a.test", 2, 1 },
    { "another's record", { { "e.test", 10, "a.test" } }, "", 0, 0 },
    { "owner in capitals", { { "D.TEST", 10, "A.Test" } }, "10:a.test", 1, 0 },
    { "twice the same host", { { NULL, 20, "a.test" }, { NULL, 10, "a.test" }, { NULL, 30, "a.test" } }, "10:a.test", 3, 0 },
    { "address as name", { { NULL, 10, "192.0.2.1" }, { NULL, 20, "b.test" } }, "20:b.test", 2, 0 },
    { "blank in the name", { { NULL, 10, "a b.test" } }, "", 1, 0 },
    { "dot in a label", { { NULL, 10, "!\3a.b\4test" } }, "", 1, 0 },
    { "escape sequence in the name", { { NULL, 10, "a\033[31m.test" } }, "", 1, 0 },
    { "path as name", { { NULL, 10, "!\2..\3etc" } }, "", 1, 0 },
};

START_TEST(mx_records)
{
    static struct message m;
    static struct answer_mx out;

    begin(&m, "d.test", MX);
    for (unsigned i = 0; i < 5 && mxs[_i].mx[i].host != NULL; i++)
        add_mx(&m, mxs[_i].mx[i].owner != NULL ? mxs[_i].mx[i].owner : "d.test", 300, mxs[_i].mx[i].preference, mxs[_i].mx[i].host);
    ck_assert_msg(answer_mx(m.bytes, m.len, "d.test", &out) == 0, "%s", mxs[_i].name);
    ck_assert_msg(strcmp(hosts_of(&out), mxs[_i].want) == 0, "%s: %s", mxs[_i].name, hosts_of(&out));
    ck_assert_msg(out.nrecord == mxs[_i].nrecord && out.nnull == mxs[_i].nnull, "%s: counts", mxs[_i].name);
}
END_TEST

START_TEST(mx_many)
{
    static struct message m;
    static struct answer_mx out;
    char host[20];

    begin(&m, "d.test", MX);
    for (unsigned i = 0; i < 500; i++) {
        snprintf(host, sizeof(host), "mx%u.test", i);
        add_mx(&m, "d.test", 300, (i * 7) % 500, host);
    }
    ck_assert_int_eq(answer_mx(m.bytes, m.len, "d.test", &out), 0);
    ck_assert_uint_eq(out.nrecord, 500);
    ck_assert_uint_eq(out.nhost, WIRE_HOST_MAX);
    for (unsigned i = 0; i < out.nhost; i++)
        ck_assert_msg(out.host[i].preference == i, "the best %d, sorted", WIRE_HOST_MAX);
}
END_TEST

static const struct { const char *name; uint32_t ttl_s[3]; uint32_t want; } ttls[] = {
    { "as it is", { 1000, 1000, 1000 }, 1000 },
    { "the least", { 3000, 100, 200 }, 100 },
    { "of the CNAME too", { 90, 300, 300 }, 90 },
    { "zero", { 300, 0, 300 }, ANSWER_TTL_MIN_S },
    { "a week", { 604800, 604800, 604800 }, ANSWER_TTL_MAX_S },
    { "2^31 counts as 0", { 300, 0x80000000U, 300 }, ANSWER_TTL_MIN_S },
    { "2^32 - 1 counts as 0", { 0xffffffffU, 300, 300 }, ANSWER_TTL_MIN_S },
};

START_TEST(ttl)
{
    static struct message m;
    static struct answer_mx out;

    begin(&m, "alias.test", MX);
    add_cname(&m, "alias.test", ttls[_i].ttl_s[0], "d.test");
    add_mx(&m, "d.test", ttls[_i].ttl_s[1], 10, "a.test");
    add_mx(&m, "d.test", ttls[_i].ttl_s[2], 20, "b.test");
    ck_assert_int_eq(answer_mx(m.bytes, m.len, "alias.test", &out), 0);
    ck_assert_msg(out.nhost == 2 && out.ttl_s == ttls[_i].want, "%s: %u", ttls[_i].name, out.ttl_s);
}
END_TEST

START_TEST(cname_chain)
{
    static struct message m;
    static struct answer_mx out;
    char from[20], to[20];

    for (unsigned links = 1; links < 30; links++) {
        begin(&m, "n0.test", MX);
        for (unsigned i = links; i > 0; i--) {              /* in the worst order */
            snprintf(from, sizeof(from), "n%u.test", i - 1);
            snprintf(to, sizeof(to), "n%u.test", i);
            add_cname(&m, from, 300, to);
        }
        add_mx(&m, to, 300, 10, "not.this");
        snprintf(to, sizeof(to), "n%u.test", links);
        add_mx(&m, to, 300, 10, "mx.test");
        int rc = answer_mx(m.bytes, m.len, "n0.test", &out);
        ck_assert_msg(rc == (links > 12 ? -1 : 0), "%u links: %d", links, rc);
        if (rc == 0)
            ck_assert_msg(strstr(hosts_of(&out), "10:mx.test") != NULL, "%u links: %s", links, hosts_of(&out));
    }
}
END_TEST

START_TEST(cname_loop)
{
    static struct message m;
    static struct answer_mx out;

    begin(&m, "a.test", MX);
    add_cname(&m, "a.test", 300, "b.test");
    add_cname(&m, "b.test", 300, "a.test");
    ck_assert_int_eq(answer_mx(m.bytes, m.len, "a.test", &out), -1);
    begin(&m, "a.test", MX);
    add_cname(&m, "a.test", 300, "a.test");
    ck_assert_int_eq(answer_mx(m.bytes, m.len, "a.test", &out), -1);
}
END_TEST

/* Every cut and every changed byte of a good message: no crash, no bad name. */
START_TEST(damage)
{
    static struct message good, m;
    static struct answer_mx out;
    static struct answer_ip ips;
    char checked[ANSWER_NAME_SIZE];

    begin(&good, "alias.test", MX);
    add_cname(&good, "alias.test", 300, "d.test");
    add_mx(&good, "d.test", 300, 10, "a.test");
    add_mx(&good, "!\300\014", 300, 20, "!\1b\300\022");    /* compressed */
    add_ip(&good, "d.test", 300, "192.0.2.1");
    add_soa(&good, 300, 100);
    for (size_t len = 0; len < good.len; len++) {
        unsigned char *exact = malloc(len + 1);     /* so that a sanitizer sees each byte read too many */
        memcpy(exact, good.bytes, len);
        (void)answer_mx(exact, len, "alias.test", &out);
        (void)answer_ip(exact, len, "alias.test", AF_INET, &ips);
        (void)answer_negative_ttl_s(exact, len);
        free(exact);
    }
    for (size_t at = 0; at < good.len; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            m = good;
            m.bytes[at] ^= (unsigned char)(1U << bit);
            (void)answer_ip(m.bytes, m.len, "alias.test", AF_INET, &ips);
            (void)answer_negative_ttl_s(m.bytes, m.len);
            if (answer_mx(m.bytes, m.len, "alias.test", &out) == 0)
                for (unsigned i = 0; i < out.nhost; i++)
                    ck_assert(answer_name(out.host[i].name, checked) && strcmp(checked, out.host[i].name) == 0);
        }
}
END_TEST

START_TEST(equal_preferences_mix)
{
    static struct answer_mx mx;
    unsigned first[3] = { 0 };

    for (unsigned round = 0; round < 3000; round++) {
        memset(&mx, 0, sizeof(mx));
        mx.nhost = 5;
        for (unsigned i = 0; i < 5; i++) {
            mx.host[i].preference = i == 0 ? 5 : i < 4 ? 10 : 20;
            snprintf(mx.host[i].name, sizeof(mx.host[i].name), "%c", 'a' + (int)i);
        }
        answer_mx_shuffle(&mx);
        ck_assert_str_eq(mx.host[0].name, "a");
        ck_assert_str_eq(mx.host[4].name, "e");
        first[mx.host[1].name[0] - 'b']++;
    }
    for (unsigned i = 0; i < 3; i++)
        ck_assert_msg(first[i] > 800 && first[i] < 1200, "%c came first %u of 3000 times", 'b' + (int)i, first[i]);
}
END_TEST

static const struct { const char *name; unsigned at, left; } cuts[] = {
    { "the best", 0, 0 }, { "one of two equal ones", 2, 1 }, { "the other", 1, 1 }, { "the worst", 3, 3 },
};

START_TEST(cut_at_ourselves)
{
    static const uint16_t preferences[] = { 5, 10, 10, 20 };
    static struct answer_mx mx;

    mx.nhost = 4;
    for (unsigned i = 0; i < 4; i++)
        mx.host[i].preference = preferences[i];
    answer_mx_cut(&mx, cuts[_i].at);
    ck_assert_msg(mx.nhost == cuts[_i].left, "%s: %u left", cuts[_i].name, mx.nhost);
}
END_TEST

/* ---- addresses --------------------------------------------------------- */

START_TEST(addresses)
{
    static struct message m;
    static struct answer_ip out;
    char text[IP_TEXT_SIZE];

    begin(&m, "h.test", A);
    add_cname(&m, "h.test", 200, "real.test");
    add_ip(&m, "real.test", 300, "192.0.2.1");
    add_ip(&m, "real.test", 300, "2001:db8::1");        /* not what was asked */
    add_ip(&m, "other.test", 300, "192.0.2.9");
    add_ip(&m, "real.test", 300, "224.0.0.1");          /* multicast: no address of a host */
    for (unsigned i = 0; i < 100; i++)
        add_ip(&m, "real.test", 300, "192.0.2.2");
    ck_assert_int_eq(answer_ip(m.bytes, m.len, "h.test", AF_INET, &out), 0);
    ck_assert_uint_eq(out.nip, ANSWER_IP_MAX);
    ck_assert_uint_eq(out.ttl_s, 200);
    ck_assert_str_eq(ip_format(&out.ip[0], text), "192.0.2.1");
    ck_assert_str_eq(ip_format(&out.ip[1], text), "192.0.2.2");
    rr_begin(&m, 6, "real.test", A, 300);
    put(&m, "abcde", 5);
    rr_end(&m, m.len - 5);
    ck_assert_msg(answer_ip(m.bytes, m.len, "h.test", AF_INET, &out) == -1, "an address of five bytes");
}
END_TEST

static const struct { const char *name; bool soa; uint32_t ttl_s, minimum, want; } negatives[] = {
    { "no SOA", false, 0, 0, 60 },
    { "the minimum", true, 3000, 100, 100 },
    { "the SOA's own TTL", true, 100, 3000, 100 },
    { "at most five minutes", true, 86400, 86400, 300 },
    { "at least one", true, 0, 0, 60 },
};

START_TEST(negative)
{
    static struct message m;

    begin(&m, "gone.test", MX);
    if (negatives[_i].soa)
        add_soa(&m, negatives[_i].ttl_s, negatives[_i].minimum);
    uint32_t got = answer_negative_ttl_s(m.bytes, m.len);
    ck_assert_msg(got == negatives[_i].want, "%s: %u", negatives[_i].name, got);
}
END_TEST

static const struct { const char *in; bool own; } owns[] = {
    { "127.0.0.1", true }, { "127.255.3.4", true }, { "0.0.0.0", true }, { "0.1.2.3", true }, { "::1", true }, { "::", true },
    { "::ffff:127.0.0.1", true }, { "::ffff:0.0.0.0", true }, { "192.0.2.7", true }, { "::ffff:192.0.2.7", true },
    { "2001:db8::7", true }, { "192.0.2.8", false }, { "2001:db8::8", false }, { "128.0.0.1", false }, { "::2", false },
    { "10.0.0.1", false },
};

START_TEST(own)
{
    struct ip_own set = { 0 };
    struct ip ip;

    ck_assert(ip_parse("192.0.2.7", &ip) && ip_own_add(&set, &ip, NULL) == 0);
    ck_assert(ip_parse("2001:db8::7", &ip) && ip_own_add(&set, &ip, NULL) == 0);
    ck_assert(ip_parse(owns[_i].in, &ip));
    ck_assert_msg(ip_is_own(&set, &ip) == owns[_i].own, "%s", owns[_i].in);
    ip_own_fini(&set);
}
END_TEST

static const struct { const char *in, *literal, *address; unsigned port; } texts[] = {
    { "[192.0.2.1]", "192.0.2.1", NULL, 0 },
    { "[IPv6:2001:DB8::1]", "2001:db8::1", NULL, 0 },
    { "[ipv6:::1]", "::1", NULL, 0 },
    { "[2001:db8::1]", NULL, NULL, 0 },
    { "[192.0.2.1", NULL, NULL, 0 },
    { "192.0.2.1", NULL, NULL, 0 },
    { "[]", NULL, NULL, 0 },
    { "[IPv6:]", NULL, NULL, 0 },
    { "[IPv6:aaaa:bbbb:cccc:dddd:eeee:ffff:aaaa:bbbb:cccc:dddd:eeee]", NULL, NULL, 0 },
    { "192.0.2.1:53", NULL, "192.0.2.1", 53 },
    { "[2001:db8::1]:5353", NULL, "2001:db8::1", 5353 },
    { "2001:db8::1:53", NULL, NULL, 0 },
    { "192.0.2.1:0", NULL, NULL, 0 },
    { "192.0.2.1:65536", NULL, NULL, 0 },
    { "192.0.2.1:", NULL, NULL, 0 },
    { ":53", NULL, NULL, 0 },
    { "]:53", NULL, NULL, 0 },
    { "[]:53", NULL, NULL, 0 },
    { "", NULL, NULL, 0 },
};

START_TEST(text)
{
    struct ip ip;
    uint16_t port = 0;
    char out[IP_TEXT_SIZE];
    bool literal = ip_parse_literal(texts[_i].in, &ip);

    ck_assert_msg(literal == (texts[_i].literal != NULL), "%s as a literal", texts[_i].in);
    if (literal)
        ck_assert_msg(strcmp(ip_format(&ip, out), texts[_i].literal) == 0, "%s: %s", texts[_i].in, out);
    bool address = ip_parse_port(texts[_i].in, &ip, &port);
    ck_assert_msg(address == (texts[_i].address != NULL), "%s as address and port", texts[_i].in);
    if (address)
        ck_assert_msg(strcmp(ip_format(&ip, out), texts[_i].address) == 0 && port == texts[_i].port, "%s: %s", texts[_i].in, out);
}
END_TEST

START_TEST(literal_out)
{
    struct ip ip;
    char out[IP_TEXT_SIZE + 7];

    ck_assert(ip_parse("2001:db8:1111:2222:3333:4444:5555:6666", &ip));
    ck_assert_str_eq(ip_format_literal(&ip, out, sizeof(out)), "[IPv6:2001:db8:1111:2222:3333:4444:5555:6666]");
    ck_assert(ip_parse("192.0.2.1", &ip));
    ck_assert_str_eq(ip_format_literal(&ip, out, sizeof(out)), "[192.0.2.1]");
}
END_TEST

/* 4, 6: an address of that family; x, y: one that failed lately. Numbered as they come. */
static const struct { const char *name, *in, *out; } orders[] = {
    { "nothing", "", "" },
    { "one", "4", "0" },
    { "families take turns, IPv6 first", "444666", "304152" },
    { "the longer one goes on", "644", "012" },
    { "what failed comes last", "x64", "120" },
    { "among itself in turns", "xxyy", "2031" },
    { "IPv6 is dead", "yy44", "2301" },
    { "eight at most", "4444666644446666", "40516273" },
    { "the dead fall off first", "y66666666", "12345678" },
};

START_TEST(order)
{
    struct ip in[RESOLVE_IP_MAX], out[DIAL_MAX];
    bool late[RESOLVE_IP_MAX];
    unsigned n = 0;
    char got[DIAL_MAX + 1] = "";

    for (const char *c = orders[_i].in; *c != '\0'; c++, n++) {
        in[n] = (struct ip){ .family = *c == '6' || *c == 'y' ? AF_INET6 : AF_INET, .byte = { (unsigned char)n } };
        late[n] = *c == 'x' || *c == 'y';
    }
    n = dial_order(in, late, n, out);
    ck_assert_uint_le(n, DIAL_MAX);
    for (unsigned i = 0; i < n; i++)
        got[i] = (char)('0' + out[i].byte[0]);
    ck_assert_msg(strcmp(got, orders[_i].out) == 0, "%s: %s", orders[_i].name, got);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("dns");
    TCase *tc = tcase_create("answer");

    tcase_add_loop_test(tc, name, 0, LENGTH(names));
    tcase_add_loop_test(tc, mx_records, 0, LENGTH(mxs));
    tcase_add_test(tc, mx_many);
    tcase_add_loop_test(tc, ttl, 0, LENGTH(ttls));
    tcase_add_test(tc, cname_chain);
    tcase_add_test(tc, cname_loop);
    tcase_add_test(tc, damage);
    tcase_add_test(tc, equal_preferences_mix);
    tcase_add_loop_test(tc, cut_at_ourselves, 0, LENGTH(cuts));
    tcase_add_test(tc, addresses);
    tcase_add_loop_test(tc, negative, 0, LENGTH(negatives));
    suite_add_tcase(s, tc);
    tc = tcase_create("address");
    tcase_add_loop_test(tc, own, 0, LENGTH(owns));
    tcase_add_loop_test(tc, text, 0, LENGTH(texts));
    tcase_add_test(tc, literal_out);
    tcase_add_loop_test(tc, order, 0, LENGTH(orders));
    suite_add_tcase(s, tc);
    return s;
}
