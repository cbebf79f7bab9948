/* options: how callers spell them, and what comes of it. */
#include <config.h>

#include <string.h>

#include "common/buf.h"
#include "common/err.h"
#include "sendmail/options.h"
#include "tests/unit/unit.h"

enum { WORDS = 16, TEXT = 300 };

/* What was understood, in words: "mode t i f=... | args". */
static void describe(const struct options *o, char *out)
{
    static const char *const modes[] = { "submit", "mailq", "run", "newaliases", "version", "help" };

    out[0] = '\0';
    strlcat(out, modes[o->mode], TEXT);
    strlcat(out, o->from_header ? " t" : "", TEXT);
    strlcat(out, o->subtract ? " subtract" : "", TEXT);
    strlcat(out, o->dot_is_text ? " i" : "", TEXT);
    strlcat(out, o->verbose ? " v" : "", TEXT);
    strlcat(out, o->quiet ? " quiet" : "", TEXT);
    strlcat(out, o->queue_only ? " odq" : "", TEXT);
    strlcat(out, o->hops > 0 ? " h" : "", TEXT);
    for (int i = 0; i < 3; i++) {
        static const char *const what[] = { " f=", " F=", " C=" };
        const char *value = i == 0 ? o->sender : i == 1 ? o->full_name : o->config;

        strlcat(out, value != NULL ? what[i] : "", TEXT);
        strlcat(out, value != NULL ? value : "", TEXT);
    }
    strlcat(out, " |", TEXT);
    for (size_t i = 0; i < o->narg; i++) {
        strlcat(out, " ", TEXT);
        strlcat(out, o->arg[i], TEXT);
    }
}

static int parse(const char *const *words, struct options *o, struct err *e)
{
    static char copy[WORDS][100];
    static char *argv[WORDS + 1];
    int argc = 0;

    for (; words[argc] != NULL; argc++) {
        ck_assert_int_lt(argc, WORDS);
        strlcpy(copy[argc], words[argc], sizeof(copy[0]));
        argv[argc] = copy[argc];
    }
    argv[argc] = NULL;
    return options_parse(argc, argv, o, e);
}

static const struct {
    const char *argv[WORDS];
    const char *want;
} good[] = {
    { { "sendmail", "a@x" }, "submit | a@x" },
    { { "/usr/sbin/sendmail", "-t", "-i" }, "submit t i |" },
    { { "sendmail", "-ti" }, "submit t i |" },
    { { "sendmail", "-it" }, "submit t i |" },
    { { "sendmail", "-tiv", "a" }, "submit t i v | a" },
    { { "sendmail", "-oi", "-oem", "-t" }, "submit t i |" },
    { { "sendmail", "-oitrue", "a" }, "submit i | a" },
    { { "sendmail", "-o", "i", "a" }, "submit i | a" },
    { { "sendmail", "-o", "dq", "a" }, "submit odq | a" },
    { { "sendmail", "-toi", "a" }, "submit t i | a" },
    { { "sendmail", "-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root" }, "submit i F=CronDaemon | root" },
    { { "sendmail", "-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-f", "ann" }, "submit t i f=ann F=CronDaemon |" },
    { { "sendmail", "-i", "-B", "8BITMIME", "bob" }, "submit i | bob" },
    { { "sendmail", "-oem", "-oi", "-f", "me@x", "--", "-a@x", "b@y" }, "submit i f=me@x | -a@x b@y" },
    { { "sendmail", "-oi", "-fme@x", "-t" }, "submit t i f=me@x |" },
    { { "sendmail", "-f", "<>", "a" }, "submit f=<> | a" },
    { { "sendmail", "-f", "", "a" }, "submit f= | a" },
    { { "sendmail", "-f", "a@x", "-f", "b@x", "c" }, "submit f=b@x | c" },
    { { "sendmail", "-r", "me@x", "a" }, "submit f=me@x | a" },
    { { "sendmail", "a", "-f", "me", "b", "-i" }, "submit i f=me | a b" },
    { { "sendmail", "a", "--", "b" }, "submit | a b" },
    { { "sendmail", "--", "--" }, "submit | --" },
    { { "sendmail", "-" }, "submit | -" },
    { { "sendmail", "", "a" }, "submit |  a" },
    { { "sendmail", "-bm", "a" }, "submit | a" },
    { { "sendmail", "-b", "m", "a" }, "submit | a" },
    { { "sendmail", "-bp" }, "mailq |" },
    { { "sendmail", "-q" }, "run |" },
    { { "sendmail", "-bi" }, "newaliases |" },
    { { "sendmail", "-I" }, "newaliases |" },
    { { "sendmail", "-bV" }, "version |" },
    { { "sendmail", "--version" }, "version |" },
    { { "sendmail", "--help" }, "help |" },
    { { "sendmail", "-C", "/x", "a" }, "submit C=/x | a" },
    { { "sendmail", "-C/x", "a" }, "submit C=/x | a" },
    { { "sendmail", "-h", "3", "a" }, "submit h | a" },
    { { "sendmail", "-v", "-ov", "a" }, "submit v | a" },
    { { "sendmail", "-odb", "-odd", "a" }, "submit odq | a" },
    { { "sendmail", "-odi", "-om", "-m", "-n", "-U", "-o7", "-oo", "a" }, "submit | a" },
    { { "sendmail", "-oee", "-oep", "-oew", "-ee", "-em", "-ep", "-ew", "a" }, "submit | a" },
    { { "sendmail", "-oeq", "a" }, "submit quiet | a" },
    { { "sendmail", "-e", "q", "a" }, "submit quiet | a" },
    { { "mailq" }, "mailq |" },
    { { "/usr/bin/mailq", "1tDabc-0001Xy-2c" }, "mailq | 1tDabc-0001Xy-2c" },
    { { "newaliases" }, "newaliases |" },
    { { "runq" }, "run |" },
    { { "exim", "-t", "a" }, "submit t subtract | a" },
    { { "/usr/sbin/exim4", "-bp" }, "mailq subtract |" },
    { { "sendmail.abide", "a" }, "submit | a" },
    { { "mailq/", "a" }, "submit | a" },
};

START_TEST(understood)
{
    struct options o;
    struct err e = { 0 };
    char got[TEXT];
    int r = parse(good[_i].argv, &o, &e);

    describe(&o, got);
    ck_assert_msg(r == 0, "want \"%s\": %s", good[_i].want, e.text);
    ck_assert_msg(strcmp(got, good[_i].want) == 0, "got \"%s\", want \"%s\"", got, good[_i].want);
}
END_TEST

static const struct {
    const char *argv[WORDS];
    const char *want;
} bad[] = {
    { { "sendmail" }, "no recipients" },
    { { "sendmail", "-i", "--" }, "no recipients" },
    { { NULL }, "no recipients" },
    { { "sendmail", "-Z", "a" }, "unknown option -Z" },
    { { "sendmail", "-tZi", "a" }, "unknown option -Z" },
    { { "sendmail", "--foo" }, "unknown option --foo" },
    { { "sendmail", "--helpme" }, "unknown option --helpme" },
    { { "sendmail", "-f" }, "-f needs a value" },
    { { "sendmail", "-tf" }, "-f needs a value" },
    { { "sendmail", "-b" }, "-b needs a value" },
    { { "sendmail", "-bs" }, "-bs is not supported" },
    { { "sendmail", "-b", "s" }, "-bs is not supported" },
    { { "sendmail", "-bpc" }, "-bpc is not supported" },
    { { "sendmail", "-bd", "-q15m" }, "-bd is not supported" },
    { { "sendmail", "-q15m" }, "-q15m is not supported" },
    { { "sendmail", "-q", "a" }, "-q takes no arguments" },
    { { "sendmail", "-N", "success", "a" }, "-N is not supported" },
    { { "sendmail", "-Nsuccess", "a" }, "-N is not supported" },
    { { "sendmail", "-V0000id", "a" }, "-V is not supported" },
    { { "sendmail", "-R", "hdrs", "a" }, "-R is not supported" },
    { { "sendmail", "-O", "DeliveryMode=q", "a" }, "-O is not supported" },
    { { "sendmail", "-X", "/tmp/log", "a" }, "-X is not supported" },
    { { "sendmail", "-Mrm", "1tDabc-0001Xy-2c" }, "-M is not supported" },
    { { "sendmail", "-oMr", "esmtp", "a" }, "-oM is not supported" },
    { { "sendmail", "-oX", "25", "a" }, "-oX is not supported" },
    { { "sendmail", "-G", "a" }, "-G is not supported" },
    { { "sendmail", "-d0.1" }, "-d is not supported" },
    { { "sendmail", "-ex", "a" }, "-ex is not supported" },
    { { "sendmail", "-h", "x", "a" }, "-h takes a number of hops, not \"x\"" },
    { { "sendmail", "-h-1", "a" }, "-h takes a number of hops, not \"-1\"" },
    { { "sendmail", "-h", "99999999999999999999", "a" }, "-h takes a number of hops, not \"99999999999999999999\"" },
};

START_TEST(refused)
{
    struct options o;
    struct err e = { 0 };
    int r = parse(bad[_i].argv, &o, &e);

    ck_assert_msg(r == -1 && e.class == EX_USAGE, "%s: taken", bad[_i].want);
    ck_assert_msg(strcmp(e.text, bad[_i].want) == 0, "got \"%s\", want \"%s\"", e.text, bad[_i].want);
}
END_TEST

/* sendmail's getopt string: each letter is known, and one with a colon never
 * lets its value become a recipient. */
START_TEST(getopt_string)
{
    static const char letters[] = "A:B:b:C:cD:d:e:F:f:Gh:IiL:M:mN:nO:o:p:Q:q:R:r:sTtUV:vX:";

    for (const char *p = letters; *p != '\0'; p++) {
        char word[] = { '-', *p, '\0' };
        const char *argv[] = { "sendmail", word, "value", "--", "rcpt", NULL };
        struct options o;
        struct err e = { 0 };

        if (*p == ':')
            continue;
        if (parse(argv, &o, &e) == 0 && p[1] == ':')
            ck_assert_msg(o.narg == 1 && strcmp(o.arg[0], "rcpt") == 0, "-%c: its value is a recipient", *p);
        ck_assert_msg(strstr(e.text, "unknown") == NULL, "-%c: %s", *p, e.text);
    }
}
END_TEST

START_TEST(help)
{
    struct buf out = BUF_INIT(10000);

    options_help(&out);
    ck_assert(buf_ok(&out));
    ck_assert_ptr_nonnull(strstr(out.data, "\n  -f ADDRESS      envelope sender"));
    for (const char *p = out.data, *nl; (nl = strchr(p, '\n')) != NULL; p = nl + 1)
        ck_assert_int_le(nl - p, 80);
    buf_fini(&out);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("options");
    TCase *tc = tcase_create("options");

    tcase_add_loop_test(tc, understood, 0, LENGTH(good));
    tcase_add_loop_test(tc, refused, 0, LENGTH(bad));
    tcase_add_test(tc, getopt_string);
    tcase_add_test(tc, help);
    suite_add_tcase(s, tc);
    return s;
}
