/* cause: names and letters go there and back, and never change. */
#include <config.h>

#include <string.h>

#include "common/cause.h"
#include "tests/unit/unit.h"

/* The letters as they lie in spools: a table of its own, not the module's. */
static const struct { enum cause cause; const char *name; char letter; } causes[] = {
    { CAUSE_NONE, "new", 'n' },
    { CAUSE_TOO_MANY_CONNECTIONS, "too_many_connections", 'c' },
    { CAUSE_RATE_LIMITED, "rate_limited", 'r' },
    { CAUSE_TOO_MANY_PER_CONNECTION, "too_many_per_connection", 'm' },
    { CAUSE_TOO_MANY_RECIPIENTS, "too_many_recipients", 't' },
    { CAUSE_GREYLISTED, "greylisted", 'g' },
    { CAUSE_CONGESTION, "congestion", 's' },
    { CAUSE_REPUTATION, "reputation", 'p' },
    { CAUSE_AUTH_POLICY, "auth_policy", 'a' },
    { CAUSE_MAILBOX_FULL, "mailbox_full", 'b' },
    { CAUSE_MAILBOX_BUSY, "mailbox_busy", 'y' },
    { CAUSE_DNS_TEMP, "dns_temp", 'd' },
    { CAUSE_CONTENT_TEMP, "content_temp", 'v' },
    { CAUSE_UNREACHABLE, "unreachable", 'u' },
    { CAUSE_LOCAL, "local", 'l' },
    { CAUSE_IN_DOUBT, "in_doubt", 'i' },
    { CAUSE_UNKNOWN_TEMP, "unknown_temp", 'x' },
    { CAUSE_NO_ROUTE, "no_route", 'o' },
    { CAUSE_FROZEN, "frozen", 'h' },
    { CAUSE_PERM_MAILBOX, "perm_mailbox", 'f' },
    { CAUSE_PERM_POLICY, "perm_policy", 'f' },
    { CAUSE_PERM_REPUTATION, "perm_reputation", 'f' },
    { CAUSE_PERM_CONTENT, "perm_content", 'f' },
    { CAUSE_PERM_SIZE, "perm_size", 'f' },
    { CAUSE_PERM_AUTH, "perm_auth", 'f' },
    { CAUSE_PERM_OTHER, "perm_other", 'f' },
};

START_TEST(cause_there_and_back)
{
    enum cause c = causes[_i].cause, back;
    const char *name = causes[_i].name;

    ck_assert_str_eq(cause_name(c), name);
    ck_assert_msg(cause_letter(c) == causes[_i].letter, "%s: letter %c", name, cause_letter(c));
    ck_assert_msg(cause_from_name(name, &back) && back == c, "%s: from its name", name);
    ck_assert_msg(cause_permanent(c) == (strncmp(name, "perm_", 5) == 0), "%s: permanent", name);
    if (cause_permanent(c))
        ck_assert_msg(!cause_from_letter('f', &back), "f is no one cause");
    else
        ck_assert_msg(cause_from_letter(causes[_i].letter, &back) && back == c, "%s: from its letter", name);
}
END_TEST

START_TEST(cause_all_are_listed)
{
    enum cause c = CAUSE_FROZEN;

    ck_assert_int_eq(LENGTH(causes), CAUSE_COUNT);
    for (char l = ' '; l < 0x7f; l++)
        ck_assert_msg(!cause_from_letter(l, &c) || cause_letter(c) == l, "letter %c", l);
    ck_assert(!cause_from_name("", &c) && !cause_from_name("newer", &c) && !cause_from_letter('\0', &c));
    ck_assert_str_eq(cause_name((enum cause)4711), "unknown_temp");
}
END_TEST

START_TEST(phase_there_and_back)
{
    static const char *const names[] = {
        "dns", "connect", "banner", "ehlo", "mail", "rcpt", "data", "body", "eom", "idle", "quit"
    };
    enum phase p;

    ck_assert_int_eq(LENGTH(names), PHASE_COUNT);
    ck_assert_str_eq(phase_name((enum phase)_i), names[_i]);
    ck_assert_msg(phase_from_name(names[_i], &p) && (int)p == _i, "%s", names[_i]);
    ck_assert(!phase_from_name("starttls?", &p));
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("cause");
    TCase *tc = tcase_create("cause");

    tcase_add_loop_test(tc, cause_there_and_back, 0, LENGTH(causes));
    tcase_add_test(tc, cause_all_are_listed);
    tcase_add_loop_test(tc, phase_there_and_back, 0, PHASE_COUNT);
    suite_add_tcase(s, tc);
    return s;
}
