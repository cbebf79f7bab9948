/* bounce: a report goes to whoever can use it, says what happened, and nothing that a server or a sender wrote becomes a line, a
 * field or a length of its own. */
#include <config.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/address.h"
#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"
#include "common/identity.h"
#include "common/spool.h"
#include "spooler/keeper/bounce.h"
#include "spooler/keeper/bounce_words.h"
#include "tests/unit/mutate.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#define AHEAD "0123456789"              /* stands for the envelope of the original */
#define HEADER "Received: by x\nMessage-ID: <1@example.org>\nSubject: An invoice\n\tfor you\nFrom: a@example.org\n"
#define WORDS "\nThe body, line one.\n.\nThe end.\n"

static char dir[SCRATCH_SIZE];
static struct spool *spool;
static struct buf got;                  /* the last report, from its first header line */
static struct envelope got_env;

static const struct identity identity = { .hostname = "mta.example.org", .domain = "example.org" };
static const struct bounce_rcpt refused = { .address = "bob@example.net", .status = "", .host = "mx.example.net",
    .diagnostic = "550 5.1.1 no such user", .from_remote = true, .last_attempt = { 1795227549000 } };

static void setup(void)
{
    setenv("TZ", "UTC", 1);
    scratch_make(dir);
    spool = scratch_spool(dir);
    got = (struct buf)BUF_INIT(64 * 1024 * 1024);
    got_env = (struct envelope){ 0 };
}

static void teardown(void)
{
    envelope_fini(&got_env);
    buf_fini(&got);
    spool_free(spool);
    scratch_remove(dir);
}

static void read_report(const struct msgid *id)
{
    struct err e = { 0 };
    char chunk[4096];
    ssize_t n;
    int fd;

    envelope_fini(&got_env);
    buf_clear(&got);
    fd = spool_read(spool, spool_fd(spool, SPOOL_NEW, &e), id->s, &got_env, NULL, &e);
    ck_assert_msg(fd != -1, "%s", e.text);
    ck_assert(lseek(fd, (off_t)got_env.message_at, SEEK_SET) != -1);
    while ((n = read(fd, chunk, sizeof(chunk))) > 0)
        ck_assert(buf_add(&got, chunk, (size_t)n));
    close(fd);
    ck_assert_int_eq(unlinkat(spool_fd(spool, SPOOL_NEW, &e), id->s, 0), 0);
}

/* What the envelope says of the sizes is what one counts. */
static void check_sizes(const char *name)
{
    struct envelope_size size = { .disk_bytes = got.len };
    size_t line = 0;

    for (size_t i = 0; i < got.len; i++) {
        size.wire_bytes += got.data[i] == '\n' ? 2 : 1;
        size.eight_bit |= (unsigned char)got.data[i] >= 0x80;
        line = got.data[i] == '\n' ? 0 : line + 1;
        if (line > size.longest_line)
            size.longest_line = line;
    }
    ck_assert_msg(size.disk_bytes == got_env.size.disk_bytes && size.wire_bytes == got_env.size.wire_bytes, "%s: bytes", name);
    ck_assert_msg(size.longest_line == got_env.size.longest_line && size.longest_line <= 998, "%s: longest line", name);
    ck_assert_msg(size.eight_bit == got_env.size.eight_bit, "%s: eight bit", name);
    ck_assert_msg(got.data[got.len - 1] == '\n' && memchr(got.data, '\r', got.len) == NULL, "%s: line ends", name);
}

struct call {
    const char *config, *sender, *original;
    struct bounce bounce;
    size_t original_len;                /* 0: a string's */
    size_t missing;                     /* bytes that the file lacks */
};

static void send_report(const char *name, const struct call *call)
{
    char sender[ADDRESS_MAX], path[SCRATCH_SIZE + 20];
    struct msgid original_id = { "1tDabc-0001Xy-2c" }, id;
    size_t len = call->original_len != 0 ? call->original_len : strlen(call->original);
    struct envelope env = { .sender = sender, .message_at = sizeof(AHEAD) - 1, .accepted = { 1795220000000 }, .size = { .disk_bytes = len + call->missing } };
    struct bounce b = call->bounce;
    struct buf file = BUF_INIT(64 * 1024 * 1024);
    struct config *config;
    struct err e = { 0 };

    (void)strlcpy(sender, call->sender, sizeof(sender));
    (void)buf_str(&file, AHEAD);
    (void)buf_add(&file, call->original, len);
    scratch_write(dir, "original", file.data, file.len, 0600);
    buf_fini(&file);
    (void)snprintf(path, sizeof(path), "%s/original", dir);
    b.fd = open(path, O_RDONLY | O_CLOEXEC);
    b.id = &original_id;
    b.envelope = &env;
    ck_assert_msg(config_parse("test", call->config, strlen(call->config), &config, &e) == 0, "%s: %s", name, e.text);
    ck_assert_msg(bounce_send(spool, config, &identity, &b, (struct now){ { 1795230000000 }, { 5 } }, &id, &e) == 0, "%s: %s", name, e.text);
    config_free(config);
    close(b.fd);
    read_report(&id);
    check_sizes(name);
}

static bool has(const char *text)
{
    return memmem(got.data, got.len, text, strlen(text)) != NULL;
}

static struct call usual(void)
{
    return (struct call){ .config = "", .sender = "a@example.com", .original = HEADER WORDS,
        .bounce = { .kind = BOUNCE_FAILED, .rcpt = &refused, .nrcpt = 1 } };
}

/* ---- what is in it ----------------------------------------------------- */

START_TEST(failure)
{
    static const char *const lines[] = {
        "Date: ", "\nFrom: Mail Delivery System <MAILER-DAEMON@mta.example.org>\n", "\nTo: a@example.com\n",
        "\nSubject: Mail not delivered: An invoice for you\n", "\nIn-Reply-To: <1@example.org>\n", "\nReferences: <1@example.org>\n",
        "\nAuto-Submitted: auto-replied\n", "\nMIME-Version: 1.0\n",
        "\nContent-Type: multipart/report; report-type=delivery-status;\n\tboundary=\"=_",
        "\nThe message below could not be delivered to this recipient. It will not be\ntried again.\n",
        "\n<bob@example.net>\n    The server mx.example.net answered:\n        550 5.1.1 no such user\n    What to do:\n",
        "\nReporting-MTA: dns; mta.example.org\nX-Abide-ID: 1tDabc-0001Xy-2c\nArrival-Date: Sat, 21 Nov 2026 00:13:20 +0000\n\n"
        "Final-Recipient: rfc822; bob@example.net\nAction: failed\nStatus: 5.1.1\nRemote-MTA: dns; mx.example.net\n"
        "Diagnostic-Code: smtp; 550 5.1.1 no such user\nLast-Attempt-Date: Sat, 21 Nov 2026 02:19:09 +0000\n\n--=_",
        "\nContent-Type: text/rfc822-headers\n\n" HEADER "\n--=_",
    };
    struct call call = usual();

    send_report("failure", &call);
    for (int i = 0; i < LENGTH(lines); i++)
        ck_assert_msg(has(lines[i]), "no %s in %s", lines[i], got.data);
    ck_assert(!has("The body"));
    ck_assert(!has("Content-Transfer-Encoding"));
    ck_assert(!has("Will-Retry-Until"));
    ck_assert_str_eq(got_env.sender, "");
    ck_assert_uint_eq(got_env.nrcpt, 1);
    ck_assert_str_eq(got_env.protocol, "bounce");
    ck_assert_str_eq(got_env.user, "");
    ck_assert_uint_eq(got_env.uid, geteuid());
    ck_assert_int_eq(got_env.accepted.ms, 1795230000000);
}
END_TEST

START_TEST(delay)
{
    static const char *const lines[] = {
        "\nSubject: Mail delayed, still trying: An invoice for you\n", "\nAuto-Submitted: auto-replied\n",
        "You do not have to do anything", "\n    Tue, 24 Nov 2026 02:19:09 +0000\n", "\nAction: delayed\nStatus: 4.7.1\n",
        "\nDiagnostic-Code: smtp; 451 4.7.1 greylisted\n", "\nWill-Retry-Until: Tue, 24 Nov 2026 02:19:09 +0000\n",
    };
    struct bounce_rcpt late = refused;
    struct call call = usual();

    late.diagnostic = "451 4.7.1 greylisted";
    call.config = "bounce_body whole\n";
    call.bounce.kind = BOUNCE_DELAYED;
    call.bounce.rcpt = &late;
    call.bounce.give_up.ms = 1795486749000;
    send_report("delay", &call);
    for (int i = 0; i < LENGTH(lines); i++)
        ck_assert_msg(has(lines[i]), "no %s in %s", lines[i], got.data);
    ck_assert_msg(!has("What to do") && !has("The body"), "%s", got.data);
}
END_TEST

START_TEST(words_of_our_own)
{
    struct bounce_rcpt r = { .address = "bob@[", .status = "5.1.2", .host = "", .diagnostic = "the part behind the @ is not a valid domain" };
    struct call call = usual();

    call.bounce.rcpt = &r;
    send_report("our own", &call);
    ck_assert(has("\nStatus: 5.1.2\nDiagnostic-Code: x-abide; the part behind the @ is not a valid domain\n\n--"));
    ck_assert(has("<bob@[>\n    the part behind the @ is not a valid domain\n    What to do:\n"));
    ck_assert(!has("Remote-MTA") && !has("Last-Attempt-Date"));
}
END_TEST

static const struct { const char *name, *status, *diagnostic; enum bounce_kind kind; const char *want; } codes[] = {
    { "given", "5.7.1", "550 5.1.1 no", BOUNCE_FAILED, "5.7.1" },
    { "given with long numbers", "5.123.456", "", BOUNCE_FAILED, "5.123.456" },
    { "given 4 for its age", "4.4.7", "retry time is over", BOUNCE_FAILED, "4.4.7" },
    { "from the reply", "", "550 5.1.1 no", BOUNCE_FAILED, "5.1.1" },
    { "reply of the wrong class", "", "451 4.7.1 later", BOUNCE_FAILED, "5.0.0" },
    { "reply without a code", "", "550 no", BOUNCE_FAILED, "5.0.0" },
    { "no words", "", "", BOUNCE_FAILED, "5.0.0" },
    { "not a reply", "", "it is 5.1.1", BOUNCE_FAILED, "5.0.0" },
    { "delayed", "", "451 4.7.1 later", BOUNCE_DELAYED, "4.7.1" },
    { "delayed by a 5", "5.1.1", "550 5.1.1 no", BOUNCE_DELAYED, "4.0.0" },
    { "given nonsense", "5.1", "550 5.1.1 no", BOUNCE_FAILED, "5.1.1" },
    { "given a field", "5.1.1\nX: y", "", BOUNCE_FAILED, "5.0.0" },
    { "given more digits", "5.1.1234", "", BOUNCE_FAILED, "5.0.0" },
    { "given a success", "2.0.0", "", BOUNCE_FAILED, "5.0.0" },
    { "given an empty part", "5..1", "", BOUNCE_FAILED, "5.0.0" },
};

START_TEST(status)
{
    struct bounce_rcpt r = { .address = "b@example.net", .status = codes[_i].status, .host = "", .diagnostic = codes[_i].diagnostic };
    char out[WORDS_STATUS_SIZE];

    words_status(&r, codes[_i].kind, out);
    ck_assert_msg(strcmp(out, codes[_i].want) == 0, "%s: %s", codes[_i].name, out);
}
END_TEST

/* ---- who gets it ------------------------------------------------------- */

static const struct { const char *name, *config, *sender, *want; } senders[] = {
    { "anybody", "root boss@example.com\n", "a@example.com", "a@example.com" },
    { "our own name", "root boss@example.com\n", "cron@mta.example.org", "boss@example.com" },
    { "our own name in capitals", "root boss@example.com\n", "cron@MTA.example.ORG", "boss@example.com" },
    { "localhost", "root boss@example.com\n", "cron@localhost", "boss@example.com" },
    { "no domain", "root boss@example.com\n", "cron", "boss@example.com" },
    { "our domain has mailboxes", "root boss@example.com\n", "cron@example.org", "cron@example.org" },
    { "no root set", "", "cron@mta.example.org", "cron@mta.example.org" },
    { "a quoted one", "", "\"a  b\"@example.com", "\"a  b\"@example.com" },
};

START_TEST(recipient)
{
    char line[ADDRESS_MAX + 10];
    struct call call = usual();

    call.config = senders[_i].config;
    call.sender = senders[_i].sender;
    send_report(senders[_i].name, &call);
    ck_assert_msg(got_env.nrcpt == 1 && strcmp(got_env.rcpt[0], senders[_i].want) == 0, "%s: %s", senders[_i].name, got_env.rcpt[0]);
    (void)snprintf(line, sizeof(line), "\nTo: %s\n", senders[_i].want);
    ck_assert_msg(has(line), "%s: %s", senders[_i].name, got.data);
}
END_TEST

/* ---- hostile words ----------------------------------------------------- */

static const struct { const char *name, *diagnostic, *field, *text; } replies[] = {
    { "folded", "550 5.1.1 aaaaaaaaaa bbbbbbbbbb cccccccccc dddddddddd eeeeeeeeee ffffffffff gggggggggg",
      "Diagnostic-Code: smtp; 550 5.1.1 aaaaaaaaaa bbbbbbbbbb cccccccccc dddddddddd\n eeeeeeeeee ffffffffff gggggggggg\n",
      "        550 5.1.1 aaaaaaaaaa bbbbbbbbbb cccccccccc dddddddddd eeeeeeeeee\n        ffffffffff gggggggggg\n" },
    { "a field", "550 x\nAction: delivered", "Diagnostic-Code: smtp; 550 x Action: delivered\n", "        550 x Action: delivered\n" },
    { "a group", "550 x\n\nFinal-Recipient: rfc822; c@example.net\nAction: delivered\n",
      "Diagnostic-Code: smtp; 550 x Final-Recipient: rfc822; c@example.net Action:\n delivered\n", "" },
    { "CR", "550 a\r\nb\rc", "Diagnostic-Code: smtp; 550 a b c\n", "        550 a b c\n" },
    { "control bytes", "550 a\033[2Jb\177\001", "Diagnostic-Code: smtp; 550 a?[2Jb??\n", "        550 a?[2Jb??\n" },
    { "UTF-8", "550 Postf\xc3\xa4" "cher", "Diagnostic-Code: smtp; 550 Postf??cher\n", "        550 Postf\xc3\xa4" "cher\n" },
    { "Latin-1", "550 Postf\xe4" "cher", "Diagnostic-Code: smtp; 550 Postf?cher\n", "        550 Postf?cher\n" },
    { "a boundary", "550 --=_1tDabc-0001Xy-2c--", "Diagnostic-Code: smtp; 550 --=_1tDabc-0001Xy-2c--\n", "        550 --=_" },
    { "blanks alone", " \n \n", "Diagnostic-Code: smtp;\nLast", "" },
};

START_TEST(reply_words)
{
    struct bounce_rcpt r = refused;
    struct call call = usual();

    r.diagnostic = replies[_i].diagnostic;
    call.bounce.rcpt = &r;
    send_report(replies[_i].name, &call);
    ck_assert_msg(has(replies[_i].field), "%s: %s", replies[_i].name, got.data);
    ck_assert_msg(has(replies[_i].text), "%s: %s", replies[_i].name, got.data);
    ck_assert_msg(!has("\nAction: delivered"), "%s: %s", replies[_i].name, got.data);
}
END_TEST

static const struct { const char *name, *address, *want; } finals[] = {
    { "plain", "b@example.net", "\nFinal-Recipient: rfc822; b@example.net\n" },
    { "quoted", "\"a \\\" b\"@example.net", "\nFinal-Recipient: rfc822; \"a \\\" b\"@example.net\n" },
    { "UTF-8", "b\xc3\xbc+x@example.net", "\nFinal-Recipient: utf-8; b\\x{FC}\\x{2B}x@example.net\n" },
    { "beyond the BMP", "\xf0\x9f\x98\x80@example.net", "\nFinal-Recipient: utf-8; \\x{1F600}@example.net\n" },
    { "Latin-1", "b\xfc@example.net", "\nFinal-Recipient: rfc822; b?@example.net\n" },
    { "a line end", "b\nAction: delivered@example.net", "\nFinal-Recipient: rfc822; b?Action: delivered@example.net\n" },
};

START_TEST(final_recipient)
{
    struct bounce_rcpt r = refused;
    struct call call = usual();

    r.address = finals[_i].address;
    call.bounce.rcpt = &r;
    send_report(finals[_i].name, &call);
    ck_assert_msg(has(finals[_i].want), "%s: %s", finals[_i].name, got.data);
    ck_assert_msg(!has("\nAction: delivered"), "%s: %s", finals[_i].name, got.data);
}
END_TEST

/* Everything as long as it can be; a host of the DNS, too. */
START_TEST(long_words)
{
    char words[5000], address[ADDRESS_MAX], host[300];
    struct bounce_rcpt r = { .address = address, .status = "", .host = host, .diagnostic = words, .from_remote = true };
    struct call call = usual();

    memset(words, 'w', sizeof(words));
    memcpy(words, "550 ", 4);
    words[sizeof(words) - 1] = '\0';
    memset(address, 'a', sizeof(address));
    (void)strlcpy(address + 980, "@example.net", sizeof(address) - 980);
    memset(host, 'h', sizeof(host));
    host[sizeof(host) - 1] = '\0';
    call.sender = address;
    call.bounce.rcpt = &r;
    send_report("long", &call);
    ck_assert_str_eq(got_env.rcpt[0], address);
    ck_assert(has("\nTo: undisclosed-recipients:;\n"));
}
END_TEST

START_TEST(many_recipients)
{
    enum { MANY = 20000 };
    struct bounce_rcpt *r = calloc(MANY, sizeof(*r));
    struct call call = usual();

    ck_assert_ptr_nonnull(r);
    for (size_t i = 0; i < MANY; i++)
        r[i] = refused;
    r[MANY - 1].address = "last@example.net";
    call.bounce.rcpt = r;
    call.bounce.nrcpt = MANY;
    send_report("many", &call);
    ck_assert(has("\nand 19900 more, which are named in the details attached.\n"));
    ck_assert(has("\nFinal-Recipient: rfc822; last@example.net\nAction: failed\nStatus: 5.1.1\n"));
    ck_assert_uint_lt(got.len, 4 * 1024 * 1024);
    free(r);
}
END_TEST

/* ---- what it gives back ------------------------------------------------ */

#define TOP_8BIT "\"\nContent-Transfer-Encoding: 8bit\n\n"
#define AS_HEADER "\nContent-Type: text/rfc822-headers\n"
#define AS_MESSAGE "\nContent-Type: message/rfc822\n"

static const struct { const char *name, *config, *original; const char *want[3], *not; } originals[] = {
    { "whole", "bounce_body whole\n", HEADER WORDS, { AS_MESSAGE "\n" HEADER WORDS "\n--=_" }, "8bit" },
    { "whole without a last line end", "bounce_body whole\n", "A: b\n\nend", { AS_MESSAGE "\nA: b\n\nend\n--=_" }, NULL },
    { "whole with 8 bits", "bounce_body whole\n", "A: b\n\n\xc3\xa4\n",
      { TOP_8BIT, AS_MESSAGE "Content-Transfer-Encoding: 8bit\n\nA: b\n\n\xc3\xa4\n\n--=_" }, NULL },
    { "whole with a CR", "bounce_body whole\n", "A: b\n\nx\ry\n", { AS_HEADER "\nA: b\n\n--=_" }, NULL },
    { "header with 8 bits", "", "Subject: \xe4\nA: b\n\nx\n",
      { TOP_8BIT, AS_HEADER "Content-Transfer-Encoding: 8bit\n\nSubject: \xe4\nA: b\n\n--=_", "\nSubject: Mail not delivered\n" }, NULL },
    { "header of 7 bits, body of 8", "", "A: b\n\n\xe4\n", { AS_HEADER "\nA: b\n\n--=_" }, "8bit" },
    { "no header", "", "\nbody\n", { "Attached are the details for programs.\n" }, "rfc822-headers" },
    { "a body alone", "", "body\n", { "Attached are the details for programs.\n" }, "rfc822-headers" },
    { "nothing at all", "", "", { "Attached are the details for programs.\n" }, "rfc822-headers" },
    { "odd bytes", "", "A: b\rc\n\n", { AS_HEADER "\nA: b?c\n\n--=_" }, NULL },
    { "folded subject with tricks", "", "Subject: a\n \n\tBcc: x@example.com\n\n",
      { "\nSubject: Mail not delivered: a Bcc: x@example.com\n" }, "\nBcc:" },
    { "the first subject", "", "Subject: a\nSubject: b\n\n", { "\nSubject: Mail not delivered: a\n" }, NULL },
    { "no Message-ID", "", "A: b\n\n", { "\nAuto-Submitted" }, "References" },
    { "Message-ID without brackets", "", "Message-ID: a@b\n\n", { "\nAuto-Submitted" }, "References" },
    { "two Message-IDs in one", "", "Message-ID: <a@b> <c@d>\n\n", { "\nAuto-Submitted" }, "References" },
    { "Message-ID without @", "", "Message-ID: <abc>\n\n", { "\nAuto-Submitted" }, "References" },
    { "Message-ID with 8 bits", "", "Message-ID: <a\xe4@b>\n\n", { "\nAuto-Submitted" }, "References" },
    { "folded Message-ID", "", "Message-ID:\n <a@b>\n\n", { "\nReferences: <a@b>\n" }, NULL },
};

START_TEST(original)
{
    struct call call = usual();

    call.config = originals[_i].config;
    call.original = originals[_i].original;
    send_report(originals[_i].name, &call);
    for (int i = 0; i < LENGTH(originals[_i].want) && originals[_i].want[i] != NULL; i++)
        ck_assert_msg(has(originals[_i].want[i]), "%s: %s", originals[_i].name, got.data);
    ck_assert_msg(originals[_i].not == NULL || !has(originals[_i].not), "%s: %s", originals[_i].name, got.data);
}
END_TEST

/* HEAD, then a field or a body of so many bytes. */
static const struct { const char *name, *config, *head; size_t line, lines; bool whole; const char *want; } sizes[] = {
    { "just small enough", "bounce_body whole\n", "A: b\n\n", 63, 1599, true, NULL },
    { "too large", "bounce_body whole\n", "A: b\n\n", 63, 1601, false, AS_HEADER "\nA: b\n\n--=_" },
    { "a long line", "bounce_body whole\n", "A: b\n\n", 999, 1, false, AS_HEADER "\nA: b\n\n--=_" },
    { "a line just not too long", "bounce_body whole\n", "A: b\n\n", 998, 1, true, NULL },
    { "endless header", "", "A: b\nB: c", 70000, 1, false, AS_HEADER "\nA: b\n\n--=_" },
    { "a long field", "", "A: b\nB: c", 3000, 1, false, AS_HEADER "\nA: b\nB: ccccccc" },
    { "a large body", "", "A: b\n\n", 63, 100000, false, AS_HEADER "\nA: b\n\n--=_" },
};

START_TEST(original_size)
{
    struct buf text = BUF_INIT(16 * 1024 * 1024);
    struct call call = usual();

    (void)buf_str(&text, sizes[_i].head);
    for (size_t i = 0; i < sizes[_i].lines; i++) {
        for (size_t j = 0; j < sizes[_i].line; j++)
            (void)buf_char(&text, 'c');
        (void)buf_char(&text, '\n');
    }
    ck_assert(buf_ok(&text));
    call.config = sizes[_i].config;
    call.original = text.data;
    call.original_len = text.len;
    send_report(sizes[_i].name, &call);
    ck_assert_msg(has(AS_MESSAGE) == sizes[_i].whole, "%s: %.3000s", sizes[_i].name, got.data);
    ck_assert_msg(sizes[_i].want == NULL || has(sizes[_i].want), "%s: %.3000s", sizes[_i].name, got.data);
    ck_assert_uint_lt(got.len, 110 * 1024);
    buf_fini(&text);
}
END_TEST

/* A header with a NUL, and a file that is shorter than it should be. */
START_TEST(broken_original)
{
    struct call call = usual();

    call.original = "A: b\0c\n\nx\n";
    call.original_len = 10;
    send_report("NUL", &call);
    ck_assert(has(AS_HEADER "\nA: b?c\n\n--=_"));
    call.missing = 1;
    send_report("too short", &call);
    ck_assert(has("Attached are the details for programs.\n") && !has(AS_HEADER));
}
END_TEST

/* Whatever servers and senders write, the report keeps its form. */
START_TEST(mutations)
{
    static const char reply[] = "550 5.1.1 a\r\nb \xc3\xa4 Action: delivered\n\nX: y";
    struct mutator m = { 33 };

    for (int i = 0; i < 2000; i++) {
        size_t header_len;
        char *words = mutate_string(&m, reply);
        char *header = mutate(&m, HEADER WORDS, sizeof(HEADER WORDS) - 1, &header_len);
        struct bounce_rcpt r = refused;
        struct call call = usual();
        unsigned parts = 0, fields = 0;

        r.diagnostic = r.host = words;
        call.bounce.rcpt = &r;
        call.original = header;
        call.original_len = header_len;
        if (header_len > 0)
            send_report("mutation", &call);
        for (const char *p = got.data; header_len > 0 && (p = memmem(p, (size_t)(got.data + got.len - p), "\n--=_", 5)) != NULL; p++)
            parts++;
        for (const char *p = got.data; header_len > 0 && (p = memmem(p, (size_t)(got.data + got.len - p), "\nAction:", 8)) != NULL; p++)
            fields++;
        ck_assert_msg(header_len == 0 || ((parts == 3 || parts == 4) && fields == 1), "%u parts, %u fields: %s", parts, fields, got.data);
        free(words);
        free(header);
    }
}
END_TEST

START_TEST(full_disk)
{
    struct call call = usual();
    struct err e = { 0 };
    struct config *config;
    struct envelope env = { .sender = (char[]){ "a@example.com" } };
    struct msgid id = { "1tDabc-0001Xy-2c" };
    char path[SCRATCH_SIZE + 20];

    (void)snprintf(path, sizeof(path), "%s/spool/new", dir);
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(config_parse("test", "", 0, &config, &e), 0);
    call.bounce.envelope = &env;
    call.bounce.id = &id;
    call.bounce.fd = -1;
    ck_assert_int_eq(bounce_send(spool, config, &identity, &call.bounce, (struct now){ { 1795230000000 }, { 5 } }, &id, &e), -1);
    ck_assert_int_ne(e.class, 0);
    ck_assert_uint_eq(scratch_count(dir, "spool/tmp"), 0);
    config_free(config);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("bounce");
    TCase *tc = tcase_create("bounce");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, failure);
    tcase_add_test(tc, delay);
    tcase_add_test(tc, words_of_our_own);
    tcase_add_loop_test(tc, status, 0, LENGTH(codes));
    tcase_add_loop_test(tc, recipient, 0, LENGTH(senders));
    tcase_add_loop_test(tc, reply_words, 0, LENGTH(replies));
    tcase_add_loop_test(tc, final_recipient, 0, LENGTH(finals));
    tcase_add_test(tc, long_words);
    tcase_add_test(tc, many_recipients);
    tcase_add_loop_test(tc, original, 0, LENGTH(originals));
    tcase_add_loop_test(tc, original_size, 0, LENGTH(sizes));
    tcase_add_test(tc, broken_original);
    tcase_add_test(tc, mutations);
    tcase_add_test(tc, full_disk);
    suite_add_tcase(s, tc);
    return s;
}
