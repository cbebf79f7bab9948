/* config: every name with good and bad values, what is said about mistakes, and that no mistake takes away the rest. */
#include <config.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/config_keys.h"
#include "common/err.h"
#include "tests/unit/mutate.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

static struct config *good(const char *text)
{
    struct config *c;
    struct err e;
    int r = config_parse("abide.conf", text, strlen(text), &c, &e);

    ck_assert_msg(r == 0, "%s: %s", text, r == 0 ? "" : e.text);
    return c;
}

/* ---- defaults ---------------------------------------------------------- */

static void check_ms(const char *what, int64_t is, int64_t seconds)
{
    ck_assert_msg(is == seconds * 1000, "%s: %" PRId64 " ms", what, is);
}

static void check_defaults(const struct config *c)
{
    static const int64_t gap[] = { 300, 900, 3600, 7200, 14400 };
    static const int64_t timeout[PHASE_COUNT] = {
        [PHASE_DNS] = 30, [PHASE_CONNECT] = 30, [PHASE_BANNER] = 300, [PHASE_EHLO] = 300, [PHASE_MAIL] = 300, [PHASE_RCPT] = 300,
        [PHASE_DATA] = 120, [PHASE_BODY] = 180, [PHASE_EOM] = 600, [PHASE_IDLE] = 10, [PHASE_QUIT] = 10
    };

    ck_assert_str_eq(c->relay_host, "");
    ck_assert_str_eq(c->resolver, "");
    ck_assert_str_eq(c->hostname, "");
    ck_assert_str_eq(c->domain, "");
    ck_assert_str_eq(c->root, "");
    ck_assert_str_eq(c->spool, ABIDE_SPOOL_DIR);
    ck_assert_str_eq(c->log, "syslog");
    ck_assert(c->nroute == 0 && c->nsource == 0 && c->nlimit == 0);
    ck_assert(c->mx_port == 25 && c->ip == IP_BOTH && c->spooler_auto && c->log_level == LEVEL_INFO && !c->bounce_whole);
    ck_assert(c->max_size == 50 * 1024 * 1024 && c->max_recipients == 50000 && c->min_free == 10 * 1024 * 1024);
    ck_assert_uint_eq(c->nschedule, LENGTH(gap));
    for (int i = 0; i < LENGTH(gap); i++)
        check_ms("schedule", c->schedule_ms[i], gap[i]);
    for (int i = 0; i < PHASE_COUNT; i++)
        check_ms(phase_name((enum phase)i), c->timeout_ms[i], timeout[i]);
    check_ms("lifetime", c->lifetime_ms, 3 * 86400);
    check_ms("warn_after", c->warn_after_ms, 4 * 3600);
    check_ms("queue_run", c->queue_run_ms, 60);
}

START_TEST(defaults_of_an_empty_file)
{
    static const char *const empty[] = { "", "\n", "# nothing\n", "  \t\r\n\n   # a comment", "\n\n\n" };
    struct config *c;

    for (int i = 0; i < LENGTH(empty); i++) {
        c = good(empty[i]);
        check_defaults(c);
        ck_assert_str_eq(c->path, "abide.conf");
        config_free(c);
    }
    config_free(NULL);
}
END_TEST

/* ---- one value --------------------------------------------------------- */

static struct config *c;        /* of the running case, for the table's getters */

static const char *print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static const char *print(const char *fmt, ...)
{
    static char text[600];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return text;
}

static const char *relay(void) { return print("%s %u", c->relay_host, c->relay_port); }
static const char *route(void) { return c->nroute == 0 ? "" : print("%s %s %u", c->route[0].domain, c->route[0].host, c->route[0].port); }
static const char *resolver(void) { return c->resolver; }
static const char *source(void) { return c->nsource == 0 ? "" : c->source[0]; }
static const char *hostname(void) { return c->hostname; }
static const char *domain(void) { return c->domain; }
static const char *root(void) { return c->root; }
static const char *spool(void) { return c->spool; }
static const char *logs(void) { return c->log; }
static const char *ip(void) { return print("%d", (int)c->ip); }
static const char *level(void) { return print("%d", (int)c->log_level); }
static const char *spooler(void) { return c->spooler_auto ? "auto" : "off"; }
static const char *bounce(void) { return c->bounce_whole ? "whole" : "headers"; }
static const char *mx_port(void) { return print("%u", c->mx_port); }
static const char *max_recipients(void) { return print("%u", c->max_recipients); }
static const char *max_size(void) { return print("%" PRIu64, c->max_size); }
static const char *min_free(void) { return print("%" PRIu64, c->min_free); }
static const char *lifetime(void) { return print("%" PRId64, c->lifetime_ms); }
static const char *warn_after(void) { return print("%" PRId64, c->warn_after_ms); }
static const char *queue_run(void) { return print("%" PRId64, c->queue_run_ms); }
static const char *rcpt(void) { return print("%" PRId64, c->timeout_ms[PHASE_RCPT]); }

static const char *schedule(void)
{
    static char text[400];

    text[0] = '\0';
    for (size_t i = 0; i < c->nschedule; i++)
        (void)strlcat(text, print("%s%" PRId64, i == 0 ? "" : " ", c->schedule_ms[i] / 1000), sizeof(text));
    return text;
}

static const char *limit(void)
{
    const struct config_limit *l = c->limit;

    return c->nlimit == 0 ? "" : print("%s %u %u %u %u", l->site, l->connections, l->messages, l->recipients, l->rate_per_minute);
}

static const struct { const char *line; const char *(*get)(void); const char *is; } values[] = {
    { "relay smtp.example.net", relay, "smtp.example.net 25" },
    { "relay smtp.example.net:587", relay, "smtp.example.net 587" },
    { "relay SMTP.Example.NET:587", relay, "smtp.example.net 587" },
    { "relay mail_relay:2525", relay, "mail_relay 2525" },
    { "relay localhost:2525", relay, "localhost 2525" },
    { "relay 127.0.0.1:1", relay, "127.0.0.1 1" },
    { "relay 192.0.2.7", relay, "192.0.2.7 25" },
    { "relay [2001:db8::7]:65535", relay, "2001:db8::7 65535" },
    { "relay [2001:DB8::7]", relay, "2001:db8::7 25" },
    { "relay 2001:db8::7", relay, "2001:db8::7 25" },
    { "relay ::1", relay, "::1 25" },
    { "relay 2001:db8::7:587", relay, "2001:db8::7:587 25" },      /* an address as it stands, no port */
    { "route example.org mx.example.org", route, "example.org mx.example.org 25" },
    { "route *.Example.org MX.example.org:26", route, "*.example.org mx.example.org 26" },
    { "route example.org [2001:db8::7]:26", route, "example.org 2001:db8::7 26" },
    { "resolver 127.0.0.1", resolver, "127.0.0.1:53" },
    { "resolver 127.0.0.1:5353", resolver, "127.0.0.1:5353" },
    { "resolver ::1", resolver, "[::1]:53" },
    { "resolver [::1]:5353", resolver, "[::1]:5353" },
    { "mx_port 2525", mx_port, "2525" },
    { "ip both", ip, "0" }, { "ip 4", ip, "1" }, { "ip 6", ip, "2" },
    { "source 192.0.2.1", source, "192.0.2.1" },
    { "source 2001:db8::1", source, "2001:db8::1" },
    { "hostname Mail.example.org", hostname, "mail.example.org" },
    { "domain example.org", domain, "example.org" },
    { "root admin@Example.ORG", root, "admin@example.org" },
    { "root <admin@example.org>", root, "admin@example.org" },
    { "spool /srv/mail", spool, "/srv/mail" },
    { "spooler off", spooler, "off" }, { "spooler auto", spooler, "auto" },
    { "max_size 0", max_size, "0" }, { "max_size 4096", max_size, "4096" }, { "max_size 10k", max_size, "10240" },
    { "max_size 10K", max_size, "10240" }, { "max_size 50M", max_size, "52428800" }, { "max_size 2G", max_size, "2147483648" },
    { "max_recipients 1", max_recipients, "1" }, { "max_recipients 100000", max_recipients, "100000" },
    { "min_free 0", min_free, "0" }, { "min_free 1G", min_free, "1073741824" },
    { "schedule 5m 15m 60m 4h", schedule, "300 900 3600 14400" },
    { "schedule 30", schedule, "30" },
    { "schedule 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", schedule, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16" },
    { "lifetime 30s", lifetime, "30000" }, { "lifetime 5m", lifetime, "300000" }, { "lifetime 4h", lifetime, "14400000" },
    { "lifetime 3d", lifetime, "259200000" }, { "lifetime 90", lifetime, "90000" },
    { "warn_after 0", warn_after, "0" }, { "warn_after 60d", warn_after, "5184000000" },
    { "queue_run 10s", queue_run, "10000" },
    { "timeout rcpt 90s", rcpt, "90000" },
    { "limit google connections=20 messages=100 recipients=50 rate=600/m", limit, "google 20 100 50 600" },
    { "limit Example.NET rate=6/m", limit, "example.net 0 0 0 6" },
    { "limit route-192.0.2.1 connections=1", limit, "route-192.0.2.1 1 0 0 0" },
    { "log syslog", logs, "syslog" }, { "log stderr", logs, "stderr" }, { "log /var/log/abide.log", logs, "/var/log/abide.log" },
    { "log_level error", level, "0" }, { "log_level warn", level, "1" }, { "log_level debug", level, "3" },
    { "bounce_body whole", bounce, "whole" }, { "bounce_body headers", bounce, "headers" },
    /* how lines are read */
    { "  relay\t smtp.example.net:587  # the smarthost", relay, "smtp.example.net 587" },
    { "relay smtp.example.net\r", relay, "smtp.example.net 25" },
    { "log /var/log/abide#1.log", logs, "/var/log/abide#1.log" },
    { "# relay one\nrelay two\n#relay three", relay, "two 25" },
};

START_TEST(good_values)
{
    c = good(values[_i].line);
    ck_assert_msg(strcmp(values[_i].get(), values[_i].is) == 0, "%s: %s", values[_i].line, values[_i].get());
    config_free(c);
}
END_TEST

/* ---- mistakes ---------------------------------------------------------- */

static const struct { const char *text, *says; } mistakes[] = {
    { "relayy smtp.example.net", "abide.conf:1: unknown name 'relayy'; did you mean 'relay'?" },
    { "realy smtp.example.net", "abide.conf:1: unknown name 'realy'; did you mean 'relay'?" },
    { "\n\nRelay smtp.example.net", "abide.conf:3: unknown name 'Relay'; did you mean 'relay'?" },
    { "max-size 5", "abide.conf:1: unknown name 'max-size'; did you mean 'max_size'?" },
    { "mxport 5", "abide.conf:1: unknown name 'mxport'; did you mean 'mx_port'?" },
    { "lifetme 5", "abide.conf:1: unknown name 'lifetme'; did you mean 'lifetime'?" },
    { "pi 4", "abide.conf:1: unknown name 'pi'; did you mean 'ip'?" },
    { "smtp_tls_security_level may", "abide.conf:1: unknown name 'smtp_tls_security_level'" },
    { "zz 4", "abide.conf:1: unknown name 'zz'" },
    { "relay=smtp.example.net", "abide.conf:1: unknown name 'relay=smtp.example.net'" },
    { "relay one\n# x\nrelay two", "abide.conf:3: relay is set already in line 1" },
    { "limit google rate=1/m\nlimit yahoo rate=1/m\nlimit GOOGLE rate=2/m", "abide.conf:3: limit GOOGLE is set already in line 1" },
    { "timeout rcpt 1m\ntimeout rcpt 2m", "abide.conf:2: timeout rcpt is set already in line 1" },
    { "route a.example x\nroute a.example y", "abide.conf:2: route a.example is set already in line 1" },
    { "source 192.0.2.1\nsource 192.0.2.1", "abide.conf:2: source 192.0.2.1 is set already in line 1" },
    { "relay", "abide.conf:1: it should be: relay HOST[:PORT]" },
    { "relay smtp.example.net 587", "abide.conf:1: it should be: relay HOST[:PORT]" },
    { "relay :25", "abide.conf:1: relay: '' is neither a host name nor an address" },
    { "relay 587", "abide.conf:1: relay: '587' is neither a host name nor an address" },
    { "relay 127.1", "abide.conf:1: relay: '127.1' is neither a host name nor an address" },
    { "relay smtp.example.net:", "abide.conf:1: relay: 'smtp.example.net:' is not HOST[:PORT]" },
    { "relay smtp.example.net:0", "abide.conf:1: port: '0' is no number between 1 and 65535" },
    { "relay smtp.example.net:65536", "abide.conf:1: port: '65536' is no number between 1 and 65535" },
    { "relay smtp.example.net:25x", "abide.conf:1: port: '25x' is no number between 1 and 65535" },
    { "relay smtp.example.net:+25", "abide.conf:1: port: '+25' is no number between 1 and 65535" },
    { "relay [smtp.example.net]:587", "abide.conf:1: relay: brackets are for IPv6 addresses, 'smtp.example.net' is none" },
    { "relay [192.0.2.1]", "abide.conf:1: relay: brackets are for IPv6 addresses, '192.0.2.1' is none" },
    { "relay [::1", "abide.conf:1: relay: '[::1' lacks a ]" },
    { "relay [::1]587", "abide.conf:1: relay: '[::1]587' is not HOST[:PORT]" },
    { "relay []", "abide.conf:1: relay: brackets are for IPv6 addresses, '' is none" },
    { "relay smtp://smtp.example.net", "abide.conf:1: port: '//smtp.example.net' is no number between 1 and 65535" },
    { "relay ex\303\244mple.net", "abide.conf:1: relay: 'ex\303\244mple.net' is neither a host name nor an address" },
    { "route example.org", "abide.conf:1: it should be: route DOMAIN HOST[:PORT]" },
    { "route b\303\274cher.example x", "abide.conf:1: route: 'b\303\274cher.example' is no domain (write other scripts as xn--...)" },
    { "route * x", "abide.conf:1: route: '*' is no domain (write other scripts as xn--...)" },
    { "resolver dns.example.org", "abide.conf:1: resolver: 'dns.example.org' is a name; only an address can be asked" },
    { "mx_port 0", "abide.conf:1: mx_port: '0' is no number between 1 and 65535" },
    { "ip 5", "abide.conf:1: ip: '5' is not one of both|4|6" },
    { "ip bot", "abide.conf:1: ip: 'bot' is not one of both|4|6" },
    { "ip both|4", "abide.conf:1: ip: 'both|4' is not one of both|4|6" },
    { "source eth0", "abide.conf:1: source: 'eth0' is no IP address" },
    { "hostname web1", "abide.conf:1: hostname: 'web1' is no full name such as mail.example.org" },
    { "hostname localhost.localdomain", "abide.conf:1: hostname: 'localhost.localdomain' is no full name such as mail.example.org" },
    { "domain -x.org", "abide.conf:1: domain: '-x.org' is no full name such as mail.example.org" },
    { "root <>", "abide.conf:1: root: '<>' is no mail address" },
    { "root @example.org", "abide.conf:1: root: '@example.org' is no mail address" },
    { "spool var/spool", "abide.conf:1: spool: 'var/spool' is no absolute path" },
    { "spooler yes", "abide.conf:1: spooler: 'yes' is not one of off|auto" },
    { "max_size -1", "abide.conf:1: max_size: '-1' is no size such as 500k, 50M or 1G" },
    { "max_size 5X", "abide.conf:1: max_size: '5X' is no size such as 500k, 50M or 1G" },
    { "max_size 5MB", "abide.conf:1: max_size: '5MB' is no size such as 500k, 50M or 1G" },
    { "max_size M", "abide.conf:1: max_size: 'M' is no size such as 500k, 50M or 1G" },
    { "max_size 1025G", "abide.conf:1: max_size: 1025G is too large" },
    { "max_size 99999999999999999999", "abide.conf:1: max_size: '99999999999999999999' is no size such as 500k, 50M or 1G" },
    { "max_size 9999999999999G", "abide.conf:1: max_size: '9999999999999G' is no size such as 500k, 50M or 1G" },
    { "max_recipients 0", "abide.conf:1: max_recipients: '0' is no number between 1 and 100000" },
    { "max_recipients 100001", "abide.conf:1: max_recipients: '100001' is no number between 1 and 100000" },
    { "schedule", "abide.conf:1: it should be: schedule TIME..." },
    { "schedule 5m 0", "abide.conf:1: schedule: 0 is not between 1s and 7d" },
    { "schedule 5m, 15m", "abide.conf:1: schedule: '5m,' is no time such as 30s, 5m, 4h or 3d" },
    { "schedule 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17", "abide.conf:1: schedule: more than 16 times" },
    { "lifetime 5w", "abide.conf:1: lifetime: '5w' is no time such as 30s, 5m, 4h or 3d" },
    { "lifetime 0", "abide.conf:1: lifetime: 0 is not between 1s and 60d" },
    { "lifetime 1.5h", "abide.conf:1: lifetime: '1.5h' is no time such as 30s, 5m, 4h or 3d" },
    { "lifetime 99999999999999999d", "abide.conf:1: lifetime: '99999999999999999d' is no time such as 30s, 5m, 4h or 3d" },
    { "warn_after 61d", "abide.conf:1: warn_after: 61d is not between 0s and 60d" },
    { "timeout 5m", "abide.conf:1: it should be: timeout PHASE TIME" },
    { "timeout dot 5m", "abide.conf:1: timeout: there is no phase 'dot'" },
    { "timeout rcpt 2h", "abide.conf:1: timeout: 2h is not between 1s and 1h" },
    { "limit google", "abide.conf:1: it should be: limit SITE [connections=N] [messages=N] [recipients=N] [rate=N/m]" },
    { "limit google conns=3", "abide.conf:1: limit: 'conns=3' is none of connections, messages, recipients, rate" },
    { "limit google connections", "abide.conf:1: limit: 'connections' is not NAME=NUMBER" },
    { "limit google connections=", "abide.conf:1: connections: '' is no number between 1 and 1000000" },
    { "limit google connections=0", "abide.conf:1: connections: '0' is no number between 1 and 1000000" },
    { "limit google connections=2 connections=3", "abide.conf:1: limit: connections twice" },
    { "limit google rate=600", "abide.conf:1: limit: '600' is no rate such as 600/m" },
    { "limit google rate=600/h", "abide.conf:1: limit: '600/h' is no rate such as 600/m" },
    { "limit google rate=/m", "abide.conf:1: rate: '' is no number between 1 and 1000000" },
    { "limit ../x rate=1/m", "abide.conf:1: limit: '../x' is no name of a site" },
    { "log abide.log", "abide.conf:1: log: 'abide.log' is neither syslog, stderr nor an absolute path" },
    { "log_level all", "abide.conf:1: log_level: 'all' is not one of error|warn|info|debug" },
    { "bounce_body none", "abide.conf:1: bounce_body: 'none' is not one of headers|whole" },
    { "relay x\033[2Jy", "abide.conf:1: the line has a control character in it" },
    { "relay x\177", "abide.conf:1: the line has a control character in it" },
    { "schedule 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "abide.conf:1: more than 32 words" },
};

/* The one sentence, its class, and that the other lines count all the same. */
START_TEST(what_mistakes_say)
{
    char text[500];
    struct err e = { 0 };

    (void)snprintf(text, sizeof(text), "%s\nqueue_run 77s\n", mistakes[_i].text);
    ck_assert_msg(config_parse("abide.conf", text, strlen(text), &c, &e) == -1, "%s", mistakes[_i].text);
    ck_assert_str_eq(e.text, mistakes[_i].says);
    ck_assert_int_eq(e.class, EX_CONFIG);
    ck_assert_ptr_nonnull(c);
    check_ms(mistakes[_i].text, c->queue_run_ms, 77);
    config_free(c);
}
END_TEST

START_TEST(mistakes_change_nothing)
{
    static const char text[] =
        "relay good.example.net:26\nrelay other.example.net\nroute a.example x:0\nlimit google rate=5\nlimit yahoo rate=5/m\n"
        "schedule 1m\nschedule 2m\nschedule 5m x\nlifetime x\nsource 192.0.2.1\nsource x\n";
    struct err e;

    ck_assert_int_eq(config_parse("abide.conf", text, sizeof(text) - 1, &c, &e), -1);
    ck_assert_str_eq(e.text, "abide.conf:2: relay is set already in line 1");
    ck_assert_str_eq(relay(), "good.example.net 26");
    ck_assert(c->nroute == 0 && c->nlimit == 1 && c->nsource == 1);
    ck_assert_str_eq(limit(), "yahoo 0 0 0 5");
    ck_assert_str_eq(schedule(), "60");
    check_ms("lifetime", c->lifetime_ms, 3 * 86400);
    config_free(c);
}
END_TEST

START_TEST(check_tells_all)
{
    static const char text[] = "relayy x\nip 4\nip 6\n\nlifetime x";
    struct buf all = BUF_INIT(10000);

    ck_assert_uint_eq(config_check("f", text, sizeof(text) - 1, &all), 3);
    ck_assert_str_eq(all.data,
        "f:1: unknown name 'relayy'; did you mean 'relay'?\nf:3: ip is set already in line 2\n"
        "f:5: lifetime: 'x' is no time such as 30s, 5m, 4h or 3d\n");
    buf_clear(&all);
    ck_assert_uint_eq(config_check("f", "ip 4", 4, &all), 0);
    ck_assert_uint_eq(all.len, 0);
    buf_fini(&all);
}
END_TEST

/* ---- bounds ------------------------------------------------------------ */

static void expect(const char *what, const struct buf *text, const char *says)
{
    struct err e = { 0 };
    int r = config_parse("f", text->data, text->len, &c, &e);

    ck_assert_msg(buf_ok(text), "%s", what);
    ck_assert_msg((r == 0) == (says == NULL), "%s: %s", what, e.text);
    if (says != NULL)
        ck_assert_str_eq(e.text, says);
    ck_assert_ptr_nonnull(c);
    config_free(c);
}

START_TEST(bounds_of_a_file)
{
    struct buf text = BUF_INIT(4 * 1024 * 1024);

    (void)buf_printf(&text, "relay a\n#%4095s\nip 4", "");
    expect("a line of 4096 bytes", &text, NULL);
    buf_clear(&text);
    (void)buf_printf(&text, "relay a\n#%4096s\nip 4", "");
    expect("a line of 4097 bytes", &text, "f:2: the line has more than 4096 bytes");
    buf_clear(&text);
    (void)buf_add(&text, "relay a\0b\nip 4", 14);
    expect("a NUL", &text, "f:1: the line has a control character in it");
    buf_clear(&text);
    while (text.len < 1024 * 1024)
        (void)buf_str(&text, "# 34567\n");
    expect("a megabyte", &text, NULL);
    (void)buf_char(&text, '\n');
    expect("a byte more", &text, "f: the file has more than 1048576 bytes");
    buf_clear(&text);
    for (int i = 0; i < 4000; i++)
        (void)buf_printf(&text, "route d%d.example h\n", i);
    expect("4000 routes", &text, NULL);
    (void)buf_str(&text, "ip 4");
    expect("a line more", &text, "f:4001: more than 4000 lines with settings");
    buf_clear(&text);
    for (int i = 0; i < 17; i++)
        (void)buf_printf(&text, "source 192.0.2.%d\n", i);
    expect("17 sources", &text, "f:17: source: more than 16 addresses");
    buf_clear(&text);
    (void)buf_printf(&text, "relay %300s", "");
    memset(text.data + 6, 'a', 300);
    expect("a host of 300 bytes", &text, "f:1: relay: the name is too long");
    buf_clear(&text);
    (void)buf_printf(&text, "spool /%1000s", "");
    memset(text.data + 7, 'a', 1000);
    ck_assert_int_eq(config_parse("f", text.data, text.len, &c, NULL), -1);
    config_free(c);
    buf_fini(&text);
}
END_TEST

/* Damaged files: whatever they say, a config comes out that can be used. */
START_TEST(damage_is_survived)
{
    static const char text[] =
        "relay smtp.example.net:587\nroute *.example.org [2001:db8::1]:26 # x\r\nresolver 127.0.0.1:53\nip 4\nsource ::1\n"
        "hostname a.example.org\nroot b@example.org\nspool /srv\nmax_size 50M\nschedule 5m 15m\nlimit google rate=600/m\n"
        "timeout rcpt 5m\nlog /var/log/x\nlog_level debug\nbounce_body whole\n";
    struct mutator m = { 20261121 };
    struct err e;

    config_free(good(text));
    for (int i = 0; i < MUTATIONS / 4; i++) {
        size_t len;
        char *bad = mutate(&m, text, sizeof(text) - 1, &len);
        int r = config_parse("f", bad, len, &c, &e);

        ck_assert(c != NULL && (r == 0 || e.class == EX_CONFIG));
        ck_assert(c->nschedule > 0 && c->mx_port > 0 && c->spool[0] == '/');
        config_free(c);
        free(bad);
    }
}
END_TEST

/* ---- files ------------------------------------------------------------- */

START_TEST(files)
{
    char dir[SCRATCH_SIZE], path[SCRATCH_SIZE + 20];
    static char big[1024 * 1024 + 5];
    struct err e = { 0 };

    scratch_make(dir);
    (void)snprintf(path, sizeof(path), "%s/abide.conf", dir);
    ck_assert_int_eq(config_load(path, &c, &e), 0);
    ck_assert_str_eq(c->path, "");
    check_defaults(c);
    config_free(c);

    scratch_write(dir, "abide.conf", "relay x.example\n", 16, 0644);
    ck_assert_int_eq(config_load(path, &c, &e), 0);
    ck_assert_str_eq(c->path, path);
    ck_assert_str_eq(relay(), "x.example 25");
    config_free(c);

    scratch_write(dir, "abide.conf", "", 0, 0644);
    ck_assert_int_eq(config_load(path, &c, &e), 0);
    ck_assert_str_eq(c->path, path);
    config_free(c);

    memset(big, '\n', sizeof(big));
    scratch_write(dir, "abide.conf", big, sizeof(big), 0644);
    ck_assert_int_eq(config_load(path, &c, &e), -1);
    ck_assert_int_eq(e.class, EX_CONFIG);
    check_defaults(c);
    config_free(c);

    ck_assert(unlink(path) == 0 && mkfifo(path, 0600) == 0);
    ck_assert_int_eq(config_load(path, &c, &e), -1);
    ck_assert_int_eq(e.class, EX_NOINPUT);
    check_defaults(c);
    config_free(c);

    ck_assert_int_eq(config_load(dir, &c, &e), -1);
    ck_assert_int_eq(e.class, EX_NOINPUT);
    config_free(c);
    ck_assert_int_eq(config_load("/dev/null/x", &c, NULL), -1);
    ck_assert_ptr_nonnull(c);
    config_free(c);
    scratch_remove(dir);
}
END_TEST

START_TEST(which_file)
{
    ck_assert_int_eq(unsetenv("ABIDE_CONF"), 0);
    ck_assert_str_eq(config_file(NULL, false), ABIDE_CONF_FILE);
    ck_assert_str_eq(config_file("/x", false), "/x");
    ck_assert_str_eq(config_file("/x", true), ABIDE_CONF_FILE);
    ck_assert_int_eq(setenv("ABIDE_CONF", "/y", 1), 0);
    ck_assert_str_eq(config_file(NULL, false), "/y");
    ck_assert_str_eq(config_file("/x", false), "/x");
    ck_assert_str_eq(config_file(NULL, true), ABIDE_CONF_FILE);
    ck_assert_int_eq(setenv("ABIDE_CONF", "", 1), 0);
    ck_assert_str_eq(config_file(NULL, false), ABIDE_CONF_FILE);
    ck_assert_int_eq(unsetenv("ABIDE_CONF"), 0);
}
END_TEST

/* ---- the table --------------------------------------------------------- */

START_TEST(table_is_whole)
{
    for (size_t i = 0; i < config_keys_count; i++) {
        const struct config_key *key = &config_keys[i];

        ck_assert_msg(config_key_find(key->name) == key, "%s is there once", key->name);
        ck_assert_msg(key->offset < sizeof(struct config) && key->min <= key->max, "%s: bounds", key->name);
        ck_assert_msg(key->takes != NULL && key->meaning != NULL && key->meaning[0] != '\0', "%s: words", key->name);
        ck_assert_str_eq(config_key_nearest(key->name), key->name);
    }
    ck_assert_ptr_null(config_key_find(""));
    ck_assert_ptr_null(config_key_nearest(""));
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("config");
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, table_is_whole);
    tcase_add_test(tc, defaults_of_an_empty_file);
    tcase_add_loop_test(tc, good_values, 0, LENGTH(values));
    tcase_add_loop_test(tc, what_mistakes_say, 0, LENGTH(mistakes));
    tcase_add_test(tc, mistakes_change_nothing);
    tcase_add_test(tc, check_tells_all);
    tcase_add_test(tc, bounds_of_a_file);
    tcase_add_test(tc, damage_is_survived);
    tcase_add_test(tc, files);
    tcase_add_test(tc, which_file);
    suite_add_tcase(s, tc);
    return s;
}
