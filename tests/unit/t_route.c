/* route: domains in the spelling of directories, next hops, names of sites. */
#include <config.h>

#include <string.h>

#include "common/config.h"
#include "common/err.h"
#include "common/identity.h"
#include "spooler/policy/route.h"
#include "tests/unit/unit.h"

static const struct {
    const char *name, *address, *domain;    /* NULL: refused */
} domains[] = {
    { "plain", "a@example.org", "example.org" },
    { "upper case", "A@Example.ORG", "example.org" },
    { "final dot", "a@example.org.", "example.org" },
    { "no domain", "root", "" },
    { "null reverse-path", "", "" },
    { "quoted local part with @", "\"a@b\"@example.org", "example.org" },
    { "U-label", "a@b\303\274cher.example", "xn--bcher-kva.example" },
    { "U-label in upper case", "a@B\303\234CHER.example", "xn--bcher-kva.example" },
    { "sharp s stays itself", "a@stra\303\237e.example", "xn--strae-oqa.example" },
    { "A-label", "a@XN--bcher-kva.example", "xn--bcher-kva.example" },
    { "underscore", "a@_x.example.org", "_x.example.org" },
    { "literal", "a@[192.0.2.1]", "[192.0.2.1]" },
    { "IPv6 literal", "a@[IPv6:2001:DB8::1]", "[ipv6:2001:db8::1]" },
    { "empty label", "a@b..example", NULL },
    { "not UTF-8", "a@\377\376.example", NULL },
    { "slash", "a@../etc", NULL },
};

START_TEST(domain)
{
    char out[ROUTE_DOMAIN_MAX];
    struct err e = { 0 };
    int rc = route_domain(domains[_i].address, out, &e);

    ck_assert_msg((rc == 0) == (domains[_i].domain != NULL), "%s: %d, %s", domains[_i].name, rc, e.text);
    if (rc == 0)
        ck_assert_msg(strcmp(out, domains[_i].domain) == 0, "%s: %s", domains[_i].name, out);
    else
        ck_assert_msg(e.class == EX_NOHOST && e.text[0] != '\0', "%s: class %d", domains[_i].name, e.class);
}
END_TEST

START_TEST(wire_address)
{
    char out[64];

    ck_assert(route_address("J\303\266rg@b\303\274cher.example", out, sizeof out));
    ck_assert_str_eq(out, "J\303\266rg@xn--bcher-kva.example");
    ck_assert(!route_address("J\303\266rg@Example.ORG", out, sizeof out));
    ck_assert(!route_address("", out, sizeof out));
    ck_assert(!route_address("a@\377.example", out, sizeof out));
    ck_assert(!route_address("a@b\303\274cher.example", out, 10));
}
END_TEST

static const char lines[] =
    "route example.net 192.0.2.9:26\n"
    "route *.example.net Inside.example.com\n"
    "route *.deep.example.net deep.example.com\n";

static const struct {
    const char *name, *config, *domain;
    enum route_kind kind;
    const char *host, *site;
} hops[] = {
    { "straight to MX", "", "example.org", ROUTE_TO_MX, "", "" },
    { "relay", "relay Smtp.example.com:587\n", "example.org", ROUTE_TO_RELAY, "smtp.example.com", "relay" },
    { "local mail by relay", "relay smtp.example.com:587\n", "", ROUTE_TO_RELAY, "smtp.example.com", "relay" },
    { "local: none", "", "", ROUTE_NOWHERE, "", "" },
    { "local: localhost", "", "localhost", ROUTE_NOWHERE, "", "" },
    { "local: our name", "", "me.example.org", ROUTE_NOWHERE, "", "" },
    { "exact route", lines, "example.net", ROUTE_TO_RELAY, "192.0.2.9", "route-192.0.2.9" },
    { "wildcard", lines, "a.example.net", ROUTE_TO_RELAY, "inside.example.com", "route-inside.example.com" },
    { "longest wildcard", lines, "a.deep.example.net", ROUTE_TO_RELAY, "deep.example.com", "route-deep.example.com" },
    { "wildcard is no suffix", lines, "badexample.net", ROUTE_TO_MX, "", "" },
};

START_TEST(hop)
{
    struct identity id = { .hostname = "me.example.org", .domain = "example.org" };
    struct config *c = NULL;
    struct route_hop h;
    struct err e = { 0 };

    ck_assert_msg(config_parse("test", hops[_i].config, strlen(hops[_i].config), &c, &e) == 0, "%s: %s", hops[_i].name, e.text);
    route_hop(c, &id, hops[_i].domain, &h);
    ck_assert_msg(h.kind == hops[_i].kind, "%s: kind %d", hops[_i].name, h.kind);
    ck_assert_msg(strcasecmp(h.host, hops[_i].host) == 0 && strcmp(h.site, hops[_i].site) == 0, "%s: %s, %s", hops[_i].name, h.host, h.site);
    config_free(c);
}
END_TEST

static const struct {
    const char *name;
    const char *host[6];
    const char *site;
} sets[] = {
    { "Google", { "aspmx.l.google.com", "alt1.aspmx.l.google.com", "alt2.aspmx.l.google.com" }, "google" },
    { "Google's backup elsewhere", { "smtp.google.com", "mx.example.net" }, "google" },
    { "our host, Google as backup", { "mx.example.net", "aspmx.l.google.com" }, "example.net+l.google.com" },
    { "a tenant", { "example-org.mail.protection.outlook.com" }, "m365" },
    { "Outlook", { "outlook-com.olc.protection.outlook.com" }, "outlook" },
    { "Yahoo", { "mta5.am0.yahoodns.net", "mta6.am0.yahoodns.net" }, "yahoo" },
    { "looks like Google", { "mx.notgoogle.com" }, "notgoogle.com" },
    { "one host", { "mx.example.net" }, "example.net" },
    { "the domain itself", { "example.net" }, "example.net" },
    { "two hosts", { "mx1.example.net", "mx2.example.net" }, "example.net" },
    { "shared parent", { "mx1.mx.example.net", "mx2.mx.example.net" }, "mx.example.net" },
    { "no half labels", { "amx.example.net", "bmx.example.net" }, "example.net" },
    { "domain and host", { "mx.example.net", "mx1.mx.example.net" }, "example.net" },
    { "under co.uk", { "mx1.firm.co.uk", "mx2.firm.co.uk" }, "firm.co.uk" },
    { "two firms under co.uk", { "mx.firm.co.uk", "mx.other.co.uk" }, "firm.co.uk+other.co.uk" },
    { "com.br", { "a.b.firm.com.br", "c.firm.com.br" }, "firm.com.br" },
    { "short second level is no suffix", { "mx.ab.de" }, "ab.de" },
    { "two domains", { "mx.example.net", "mx.example.com" }, "example.com+example.net" },
    { "single label", { "relay" }, "mx-relay" },
    { "pretends to be a route", { "mx.route-x.example" }, "mx-route-x.example" },
    { "pretends to have no hosts", { "mx.dns-x.example" }, "mx-dns-x.example" },
    { "bytes no file should have", { "mx.a/b.example" }, "a_b.example" },
};

static size_t count(const char *const *host)
{
    size_t n = 0;

    while (n < 6 && host[n] != NULL)
        n++;
    return n;
}

START_TEST(site)
{
    char out[ROUTE_SITE_MAX];

    route_site(sets[_i].host, count(sets[_i].host), out);
    ck_assert_msg(strcmp(out, sets[_i].site) == 0, "%s: %s", sets[_i].name, out);
}
END_TEST

/* The order of equal preferences is random: it must not make two sites of one. */
START_TEST(order_of_equals)
{
    static const char *const orders[][3] = {
        { "mx1.example.net", "mx2.example.net", "mx.example.com" },
        { "mx.example.com", "mx2.example.net", "mx1.example.net" },
        { "mx2.example.net", "mx.example.com", "mx1.example.net" },
    };
    char first[ROUTE_SITE_MAX], out[ROUTE_SITE_MAX];

    route_site(orders[0], 3, first);
    for (int i = 1; i < LENGTH(orders); i++) {
        route_site(orders[i], 3, out);
        ck_assert_str_eq(first, out);
    }
}
END_TEST

/* A long name is cut, and two that differ only behind the cut stay two. */
START_TEST(long_names)
{
    char host[2][ROUTE_DOMAIN_MAX], out[2][ROUTE_SITE_MAX];
    const char *set[1];

    for (int i = 0; i < 2; i++) {
        memset(host[i], 'a', 240);
        for (int k = 60; k < 240; k += 60)
            host[i][k] = '.';
        memcpy(host[i] + 240, i == 0 ? ".b.example" : ".c.example", 11);
        memcpy(host[i] + 236, i == 0 ? "mx" : "my", 2);
        host[i][3] = '.';
        set[0] = host[i];
        route_site(set, 1, out[i]);
        ck_assert_uint_lt(strlen(out[i]), ROUTE_SITE_MAX);
    }
    ck_assert_str_ne(out[0], out[1]);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("route");
    TCase *tc = tcase_create("route");

    tcase_add_loop_test(tc, domain, 0, LENGTH(domains));
    tcase_add_test(tc, wire_address);
    tcase_add_loop_test(tc, hop, 0, LENGTH(hops));
    tcase_add_loop_test(tc, site, 0, LENGTH(sets));
    tcase_add_test(tc, order_of_equals);
    tcase_add_test(tc, long_names);
    suite_add_tcase(s, tc);
    return s;
}
