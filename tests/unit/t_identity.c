/* identity: what we call ourselves, from whichever place knows; never localhost. */
#include <config.h>

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "common/identity.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

/* ---- what a name may look like ----------------------------------------- */

#define LABEL63 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg"

static const struct { const char *name; bool host, full; } names[] = {
    { "mail.example.org", true, true },
    { "MAIL.Example.ORG", true, true },
    { "xn--bcher-kva.example", true, true },
    { "a-b.c", true, true },
    { LABEL63 ".org", true, true },
    { LABEL63 "x.org", false, false },
    { LABEL63 "." LABEL63 "." LABEL63 "." LABEL63 "." LABEL63, false, false },
    { "smtp", true, false },
    { "mail_relay", true, false },
    { "mail_relay.example.org", true, false },
    { "localhost", true, false },
    { "localhost.localdomain", true, false },
    { "LocalHost.example.org", true, false },
    { "me.localhost", true, false },
    { "web1.localdomain", true, false },
    { "", false, false },
    { ".", false, false },
    { ".org", false, false },
    { "example.org.", false, false },
    { "a..b", false, false },
    { "-a.b", false, false },
    { "a-.b", false, false },
    { "a b.c", false, false },
    { "a\nb.c", false, false },
    { "b\303\274cher.example", false, false },
    { "192.0.2.1", false, false },
    { "25", false, false },
    { "[192.0.2.1]", false, false },
    { "2001:db8::1", false, false },
};

START_TEST(shape_of_names)
{
    ck_assert_msg(identity_host_valid(names[_i].name) == names[_i].host, "host '%s'", names[_i].name);
    ck_assert_msg(identity_name_valid(names[_i].name) == names[_i].full, "full name '%s'", names[_i].name);
}
END_TEST

/* ---- this machine ------------------------------------------------------ */

static const struct {
    const char *name, *hostname, *domain, *mailname, *hosts, *node;     /* mailname, hosts: NULL for no file */
    const char *is, *is_domain;
    bool made_up;
} machines[] = {
    { "configuration wins", "mail.example.org", "", "other.example\n", NULL, "node.example", "mail.example.org", "mail.example.org", false },
    { "domain of its own", "mail.example.org", "example.org", NULL, NULL, "x", "mail.example.org", "example.org", false },
    { "mailname", "", "", "Mail.Example.ORG\n", NULL, "node.example", "mail.example.org", "mail.example.org", false },
    { "mailname with blanks, CRLF", "", "", "\n  mail.example.org.\r\nrest", NULL, "x", "mail.example.org", "mail.example.org", false },
    { "mailname without a dot", "", "", "web1\n", NULL, "node.example", "node.example", "node.example", false },
    { "mailname is localhost", "", "", "localhost.localdomain\n", NULL, "node.example", "node.example", "node.example", false },
    { "mailname is empty", "", "", "", NULL, "node.example", "node.example", "node.example", false },
    { "full node name", "", "", NULL, NULL, "Web1.Example.org", "web1.example.org", "web1.example.org", false },
    { "alias in hosts", "", "", NULL, "127.0.0.1 localhost\n127.0.1.1 web1.example.org web1\n", "web1", "web1.example.org", "web1.example.org", false },
    { "alias in hosts, name first, tabs, comment", "", "", NULL, "::1\tip6-localhost\n10.0.0.1\tWEB1\tw.example.org # x\n", "web1",
        "w.example.org", "w.example.org", false },
    { "hosts: comment hides", "", "", NULL, "10.0.0.1 web1 # web1.example.org\n", "web1", "web1.invalid", "web1.invalid", true },
    { "hosts: localhost is no alias", "", "", NULL, "127.0.0.1 localhost.localdomain web1\n", "web1", "web1.invalid", "web1.invalid", true },
    { "hosts: another's line", "", "", NULL, "10.0.0.1 db.example.org db\n", "web1", "web1.invalid", "web1.invalid", true },
    { "hosts: the address is no name", "", "", NULL, "web1 web1.example.org\n", "web1", "web1.invalid", "web1.invalid", true },
    { "container id", "", "", NULL, "172.17.0.2 4f3a2b1c9d8e\n", "4f3a2b1c9d8e", "4f3a2b1c9d8e.invalid", "4f3a2b1c9d8e.invalid", true },
    { "localhost", "", "", NULL, NULL, "localhost", "unknown.invalid", "unknown.invalid", true },
    { "localhost with a domain", "", "", NULL, NULL, "localhost.localdomain", "unknown.invalid", "unknown.invalid", true },
    { "localdomain", "", "", NULL, NULL, "web1.localdomain", "web1.invalid", "web1.invalid", true },
    { "no name", "", "", NULL, "127.0.0.1 a.example.org\n", "", "unknown.invalid", "unknown.invalid", true },
    { "odd bytes", "", "", NULL, NULL, "my_Box", "my-box.invalid", "my-box.invalid", true },
    { "nothing but odd bytes", "", "", NULL, NULL, "(none)", "unknown.invalid", "unknown.invalid", true },
    { "domain without a name", "", "example.org", NULL, NULL, "web1", "web1.invalid", "example.org", true },
};

START_TEST(names_of_machines)
{
    char dir[SCRATCH_SIZE], mailname[SCRATCH_SIZE + 10], hosts[SCRATCH_SIZE + 10];
    struct config c = { .hostname = (char *)(uintptr_t)machines[_i].hostname, .domain = (char *)(uintptr_t)machines[_i].domain };
    struct identity_places p = { mailname, hosts, machines[_i].node };
    struct identity id;

    scratch_make(dir);
    (void)snprintf(mailname, sizeof(mailname), "%s/mailname", dir);
    (void)snprintf(hosts, sizeof(hosts), "%s/hosts", dir);
    if (machines[_i].mailname != NULL)
        scratch_write(dir, "mailname", machines[_i].mailname, strlen(machines[_i].mailname), 0644);
    if (machines[_i].hosts != NULL)
        scratch_write(dir, "hosts", machines[_i].hosts, strlen(machines[_i].hosts), 0644);
    identity_find_in(&c, &p, &id);
    ck_assert_msg(strcmp(id.hostname, machines[_i].is) == 0, "%s: hostname '%s'", machines[_i].name, id.hostname);
    ck_assert_msg(strcmp(id.domain, machines[_i].is_domain) == 0, "%s: domain '%s'", machines[_i].name, id.domain);
    ck_assert_msg(id.made_up == machines[_i].made_up, "%s: made up", machines[_i].name);
    scratch_remove(dir);
}
END_TEST

/* A line that the end of the buffer cuts would be half a name. */
START_TEST(long_hosts_file)
{
    static char text[16 * 1024 + 100];
    char dir[SCRATCH_SIZE], hosts[SCRATCH_SIZE + 10];
    struct config c = { .hostname = (char[]){ "" }, .domain = (char[]){ "" } };
    struct identity_places p = { "/nonexistent", hosts, "web1" };
    struct identity id;

    memset(text, '#', sizeof(text));
    memcpy(text + 16 * 1024 - 30, "\n10.0.0.1 web1 web1.example.organisation\n", 41);
    scratch_make(dir);
    scratch_write(dir, "hosts", text, sizeof(text), 0644);
    (void)snprintf(hosts, sizeof(hosts), "%s/hosts", dir);
    identity_find_in(&c, &p, &id);
    ck_assert_str_eq(id.hostname, "web1.invalid");
    scratch_remove(dir);
}
END_TEST

START_TEST(this_machine_has_a_name)
{
    struct config c = { .hostname = (char[]){ "" }, .domain = (char[]){ "" } };
    struct identity id;

    identity_find(&c, &id);
    ck_assert_msg(identity_name_valid(id.hostname), "%s", id.hostname);
    ck_assert_str_eq(id.domain, id.hostname);
}
END_TEST

/* ---- users: getpwuid() is played here ---------------------------------- */

static struct passwd *entry;

struct passwd *getpwuid(uid_t uid)
{
    (void)uid;
    return entry;
}

static const struct { const char *name, *login, *gecos, *is, *full; } users[] = {
    { "plain", "bob", "Bob Builder,Room 1,,", "bob", "Bob Builder" },
    { "ampersand", "bob", "& Builder & Son", "bob", "Bob Builder Bob Son" },
    { "no gecos", "bob", "", "bob", "" },
    { "null gecos", "bob", NULL, "bob", "" },
    { "only commas", "bob", ",,,", "bob", "" },
    { "newline", "bob", "Bob\nBcc: all@example.org\177", "bob", "Bob Bcc: all@example.org " },
    { "UTF-8", "bob", "J\303\266rg", "bob", "J\303\266rg" },
    { "UTF-8 cut within a character", "bob", "1234567890123456789012345678\342\202\254 and more", "bob", "1234567890123456789012345678" },
    { "long", "bob", "12345678901234567890123456789012345", "bob", "1234567890123456789012345678901" },
    { "ampersand at the end of the room", "robert", "123456789012345678901234567890&&&", "robert", "123456789012345678901234567890R" },
    { "login with a newline", "bob\nx", "Bob", "uid1000", "" },
    { "login with a blank", "bob x", "Bob", "uid1000", "" },
    { "login with a bracket", "bob>", "Bob", "uid1000", "" },
    { "empty login", "", "Bob", "uid1000", "" },
    { "dots and digits", "bob.b-1_$", "Bob", "bob.b-1_$", "Bob" },
};

START_TEST(users_of_passwd)
{
    struct passwd pw = { .pw_name = (char *)(uintptr_t)users[_i].login, .pw_gecos = (char *)(uintptr_t)users[_i].gecos };
    char name[64], full[32];

    entry = &pw;
    identity_user(1000, name, sizeof(name), full, sizeof(full));
    ck_assert_msg(strcmp(name, users[_i].is) == 0, "%s: '%s'", users[_i].name, name);
    ck_assert_msg(strcmp(full, users[_i].full) == 0, "%s: '%s'", users[_i].name, full);
}
END_TEST

START_TEST(user_without_an_entry)
{
    char name[64], full[32] = "x";

    entry = NULL;
    identity_user(4000000000U, name, sizeof(name), full, sizeof(full));
    ck_assert_str_eq(name, "uid4000000000");
    ck_assert_str_eq(full, "");
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("identity");
    TCase *tc = tcase_create("all");

    tcase_add_loop_test(tc, shape_of_names, 0, LENGTH(names));
    tcase_add_loop_test(tc, names_of_machines, 0, LENGTH(machines));
    tcase_add_test(tc, long_hosts_file);
    tcase_add_test(tc, this_machine_has_a_name);
    tcase_add_loop_test(tc, users_of_passwd, 0, LENGTH(users));
    tcase_add_test(tc, user_without_an_entry);
    suite_add_tcase(s, tc);
    return s;
}
