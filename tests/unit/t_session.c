/* session: dialogues as text, each played in every split of the bytes; and a
 * server that says anything at random, which must never make a lie believed. */
#include <config.h>

#include <sys/mman.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/err.h"
#include "spooler/courier/session.h"
#include "tests/unit/unit.h"

/* A dialogue is lines of
 *   < text           the server says it; | is a line end
 *   <+text           the same without a line end
 *   > text           the next line the client says
 *   >+N              the client's next N bytes leave, whatever they are
 *   ! event          the next event
 *   @send F key=...  a flight: from= to=A,B msg=NAME long=N 8bit say
 *   @quit @eof @reset
 *   @timeout PHASE   its deadline passes
 *   @quiet           nothing to write, no deadline
 * All that is written and all events must be asked for. */
static const struct {
    const char *name, *bytes;
    size_t len;                         /* 0: a string */
} messages[] = {
    { "hi", "Subject: hi\n\nhi\n", 0 },
    { "empty", "", 0 },
    { "dots", ".\n..\n.a\n\n.", 0 },
    { "nonl", "A: b\n\nno newline", 0 },
    { "eight", "Subject: x\n\n\303\266l\n", 0 },
    { "signed8", "DKIM-Signature: v=1\nSubject: x\n\n\303\266l\n", 0 },
};

#define GREET "< 220 mx.example ESMTP\n> EHLO me.example\n"
#define PIPE GREET "< 250-mx.example\n< 250-PIPELINING\n< 250-SIZE 1000\n< 250 8BITMIME\n! ready pipelining 8bit size=1000\n"
#define LOCK GREET "< 250 mx.example\n! ready\n"
#define HI_BODY "> Subject: hi\n> \n> hi\n> .\n"
#define ENVELOPE "> MAIL FROM:<s@x>\n< 250 ok\n> RCPT TO:<a@y>\n< 250 ok\n> DATA\n"
/* Lock step, up to the 250 that matters. */
#define TO_DOT LOCK "@send 1\n" ENVELOPE "< 354 go\n" HI_BODY

static const struct dialogue {
    const char *name, *script;
} dialogues[] = {
    { "one message in lock step", TO_DOT "< 250 2.0.0 queued\n! rcpt 1 all eom 250 2.0.0 queued\n! done 1 answered\n@quiet\n"
        "@quit\n> QUIT\n< 221 bye\n! over asked quit 221 bye\n" },
    { "one message, pipelined", PIPE "@send 1 to=a@y,b@y\n> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> RCPT TO:<b@y>\n> DATA\n"
        "< 250 ok\n< 250 ok\n< 250 ok\n< 354 go\n" HI_BODY "< 250 ok\n! rcpt 1 all eom 250 ok\n! done 1 answered\n@quiet\n" },
    { "across the dot: known before", PIPE "@send 1\n> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> DATA\n@send 2 to=b@y\n"
        "< 250 ok\n< 250 ok\n< 354 go\n" HI_BODY "> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<b@y>\n> DATA\n"
        "< 250 ok\n! rcpt 1 all eom 250 ok\n! done 1 answered\n< 250 ok\n< 250 ok\n< 354 go\n" HI_BODY
        "< 250 two\n! rcpt 2 all eom 250 two\n! done 2 answered\n" },
    { "across the dot: comes later", PIPE "@send 1\n> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> DATA\n"
        "< 250 ok\n< 250 ok\n< 354 go\n" HI_BODY "@send 2 to=b@y\n> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<b@y>\n> DATA\n"
        "< 451 no\n! rcpt 1 all eom 451 no\n! done 1 answered\n< 250 ok\n< 250 ok\n< 354 go\n" HI_BODY
        "< 250 two\n! rcpt 2 all eom 250 two\n! done 2 answered\n" },
    { "nothing behind DATA", PIPE "@send 1\n@send 2\n> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> DATA\n"
        "@eof\n! done 1 not_sent\n! done 2 not_sent\n! over dropped mail 0 the server closed the connection\n" },
    { "some recipients refused", PIPE "@send 1 to=a@y,b@y,c@y\n> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> RCPT TO:<b@y>\n"
        "> RCPT TO:<c@y>\n> DATA\n< 250 ok\n< 550 5.1.1 who\n! rcpt 1 0 rcpt 550 5.1.1 who\n< 251 will forward\n"
        "< 452 4.5.3 too many\n! rcpt 1 2 rcpt 452 4.5.3 too many\n< 354 go\n" HI_BODY
        "< 250 ok\n! rcpt 1 all eom 250 ok\n! done 1 answered\n" },
    { "all refused, DATA too, then RSET with the next", PIPE "@send 1\n> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> DATA\n"
        "< 250 ok\n< 550 no\n! rcpt 1 0 rcpt 550 no\n< 554 no valid recipients\n! done 1 answered\n@quiet\n@send 2\n> RSET\n"
        "> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> DATA\n< 250 reset\n< 250 ok\n< 250 ok\n< 354 go\n" HI_BODY
        "< 250 ok\n! rcpt 2 all eom 250 ok\n! done 2 answered\n" },
    { "all refused and 354: a lone dot", PIPE "@send 1\n> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> DATA\n"
        "< 250 ok\n< 450 4.7.1 grey\n! rcpt 1 0 rcpt 450 4.7.1 grey\n< 354 go\n> .\n< 250 queued\n! done 1 answered\n"
        "@send 2\n> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> DATA\n@eof\n! done 2 not_sent\n! over dropped mail 0 the server closed the connection\n" },
    { "lone dot, then the end", PIPE "@send 1\n> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> DATA\n"
        "< 250 ok\n< 550 no\n! rcpt 1 0 rcpt 550 no\n< 354 go\n> .\n@eof\n! done 1 answered\n! over dropped eom 0 the server closed the connection\n" },
    { "lone dot, next message behind it", PIPE "@send 1\n@send 2\n> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> DATA\n"
        "< 250 ok\n< 550 no\n! rcpt 1 0 rcpt 550 no\n< 354 go\n> .\n> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> DATA\n"
        "< 554 no\n! done 1 answered\n< 250 ok\n< 250 ok\n< 354 go\n" HI_BODY "< 250 ok\n! rcpt 2 all eom 250 ok\n! done 2 answered\n" },
    { "MAIL refused, pipelined, 354 all the same", PIPE "@send 1 to=a@y,b@y\n> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> RCPT TO:<b@y>\n"
        "> DATA\n< 550 no\n! rcpt 1 all mail 550 no\n< 250 ok\n< 503 what\n< 354 go\n> .\n< 250 ok\n! done 1 answered\n@quiet\n" },
    { "MAIL refused, no RSET needed", PIPE "@send 1\n@send 2\n> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> DATA\n"
        "< 451 4.3.2 later\n! rcpt 1 all mail 451 4.3.2 later\n< 503 x\n< 503 x\n! done 1 answered\n> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n"
        "> DATA\n@eof\n! done 2 not_sent\n! over dropped mail 0 the server closed the connection\n" },
    { "lock step: MAIL refused", LOCK "@send 1\n@send 2\n> MAIL FROM:<s@x>\n< 550 no\n! rcpt 1 all mail 550 no\n! done 1 answered\n"
        "> MAIL FROM:<s@x>\n@eof\n! done 2 not_sent\n! over dropped mail 0 the server closed the connection\n" },
    { "lock step: all RCPT refused, RSET", LOCK "@send 1\n@send 2\n> MAIL FROM:<s@x>\n< 250 ok\n> RCPT TO:<a@y>\n< 550 no\n"
        "! rcpt 1 0 rcpt 550 no\n! done 1 answered\n> RSET\n< 250 ok\n> MAIL FROM:<s@x>\n< 250 ok\n> RCPT TO:<a@y>\n@quit\n< 250 ok\n> DATA\n< 354 go\n"
        HI_BODY "< 250 ok\n! rcpt 2 all eom 250 ok\n! done 2 answered\n> QUIT\n@eof\n! over asked quit 0 the server closed the connection\n" },
    { "DATA refused", LOCK "@send 1 to=a@y,b@y\n> MAIL FROM:<s@x>\n< 250 ok\n> RCPT TO:<a@y>\n< 550 no\n! rcpt 1 0 rcpt 550 no\n"
        "> RCPT TO:<b@y>\n< 250 ok\n> DATA\n< 451 4.3.0 no\n! rcpt 1 all data 451 4.3.0 no\n! done 1 answered\n@send 2\n> RSET\n"
        "< 500 what?\n! done 2 not_sent\n! over reply mail 500 what?\n" },
    { "null sender, strange local part", LOCK "@send 1 from= to=\"q s\"@y\n> MAIL FROM:<>\n< 250 ok\n> RCPT TO:<\"q s\"@y>\n@eof\n"
        "! done 1 not_sent\n! over dropped rcpt 0 the server closed the connection\n" },
    { "what is said", PIPE "@send 1 say\n! said 1 >>> MAIL FROM:<s@x> SIZE=19\n! said 1 >>> RCPT TO:<a@y>\n! said 1 >>> DATA\n"
        "> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> DATA\n"
        "< 250 2.1.0 ok\n! said 1 <<< 250 2.1.0 ok\n< 250-one\n< 250 two\n! said 1 <<< 250-one\n! said 1 <<< 250 two\n"
        "< 354 go\n! said 1 <<< 354 go\n" HI_BODY "! said 1 >>> (22 bytes)\n< 250 ok\n! said 1 <<< 250 ok\n! rcpt 1 all eom 250 ok\n! done 1 answered\n" },

    /* bodies */
    { "dots are doubled", LOCK "@send 1 msg=dots\n" ENVELOPE "< 354 go\n> ..\n> ...\n> ..a\n> \n> ..\n> .\n"
        "< 250 ok\n! rcpt 1 all eom 250 ok\n! done 1 answered\n" },
    { "no final newline", LOCK "@send 1 msg=nonl\n" ENVELOPE "< 354 go\n> A: b\n> \n> no newline\n> .\n< 250 ok\n! rcpt 1 all eom 250 ok\n! done 1 answered\n" },
    { "empty message", LOCK "@send 1 msg=empty\n" ENVELOPE "< 354 go\n> .\n< 250 ok\n! rcpt 1 all eom 250 ok\n! done 1 answered\n" },
    { "8BITMIME", PIPE "@send 1 msg=eight 8bit\n> MAIL FROM:<s@x> SIZE=19 BODY=8BITMIME\n> RCPT TO:<a@y>\n> DATA\n< 250 ok\n< 250 ok\n"
        "< 354 go\n> Subject: x\n> \n> \303\266l\n> .\n< 250 ok\n! rcpt 1 all eom 250 ok\n! done 1 answered\n" },
    { "8 bits to a 7-bit server", LOCK "@send 1 msg=eight 8bit\n" ENVELOPE "< 354 go\n> Subject: x\n> MIME-Version: 1.0\n"
        "> Content-Type: text/plain; charset=utf-8\n> Content-Transfer-Encoding: quoted-printable\n> \n> =C3=B6l\n> .\n"
        "< 250 ok\n! rcpt 1 all eom 250 ok\n! done 1 answered\n" },
    { "8 bits, signed, to a 7-bit server", LOCK "@send 1 msg=signed8 8bit\n! rcpt 1 all body 554 5.6.3 the message cannot be converted: it is signed\n"
        "! done 1 answered\n@quiet\n" },
    { "shorter than was said", LOCK "@send 1 short\n" ENVELOPE "< 354 go\n>+100\n! done 1 not_sent\n"
        "! over io body 0 the message is shorter than its envelope says\n" },

    /* SIZE (N12) */
    { "too large", PIPE "@send 1 wire=1001\n! rcpt 1 all body 552 5.3.4 message is 1001 bytes, the server takes 1000\n! done 1 answered\n"
        "@send 2 wire=1000\n> MAIL FROM:<s@x> SIZE=1000\n> RCPT TO:<a@y>\n> DATA\n@eof\n! done 2 not_sent\n"
        "! over dropped mail 0 the server closed the connection\n" },
    { "too large behind a dot: refused when that is answered", PIPE "@send 1\n@send 2 wire=1001\n> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> DATA\n"
        "< 250 ok\n< 250 ok\n< 354 go\n" HI_BODY "< 250 ok\n! rcpt 1 all eom 250 ok\n! done 1 answered\n"
        "! rcpt 2 all body 552 5.3.4 message is 1001 bytes, the server takes 1000\n! done 2 answered\n" },
    { "SIZE 0 is no limit", GREET "< 250-x\n< 250 size 0  \n! ready size=0\n@send 1 wire=99999999\n> MAIL FROM:<s@x> SIZE=99999999\n"
        "@eof\n! done 1 not_sent\n! over dropped mail 0 the server closed the connection\n" },
    { "SIZE overflows", GREET "< 250-x\n< 250 SIZE 18446744073709551616\n! ready size=0\n" },
    { "SIZE just fits", GREET "< 250-x\n< 250 SIZE=18446744073709551615\n! ready size=18446744073709551615\n" },
    { "SIZE garbage", GREET "< 250-x\n< 250-SIZE -1\n< 250 SIZE lots\n! ready size=0\n" },
    { "capabilities in any dress", GREET "< 250-x PIPELINING\n< 250-8bitMIME\n< 250-AUTH=LOGIN\n< 250-AUTH LOGIN PLAIN\n< 250-\n< 250-PIPELININGS\n"
        "< 250-Chunking \n< 250-dsn\n< 250 X-UNKNOWN 1 2 3\n! ready 8bit chunking dsn\n" },

    /* the beginning (N1, N5, N6, N7, N12) */
    { "banner-554", "< 554 5.3.2 go away\n! over reply banner 554 5.3.2 go away\n> QUIT\n" },
    { "banner-450", "< 450 4.3.2 later\n! over reply banner 450 4.3.2 later\n> QUIT\n" },
    { "banner-421", "< 421 4.7.0 busy\n! over reply banner 421 4.7.0 busy\n" },
    { "banner-never", "@timeout banner\n! over timeout banner 0 no reply in time\n" },
    { "banner-close", "@eof\n! over dropped banner 0 the server closed the connection\n" },
    { "banner-rst", "@reset\n! over dropped banner 0 the server reset the connection\n" },
    { "banner-garbage", "<+\001\002\377garbage\n< \n! over protocol banner 0 what the server says is not SMTP\n" },
    { "banner-http", "< HTTP/1.0 400 Bad Request\n! over protocol banner 0 what the server says is not SMTP\n" },
    { "banner-code-mismatch", "< 220-one\n< 250 two\n! over protocol banner 0 what the server says is not SMTP\n" },
    { "banner-bare-lf", "<+220 lf only\n<+\n> EHLO me.example\n" },
    { "banner-250", "< 250 hello\n! over protocol banner 0 250 is no reply to greeting: hello\n" },
    { "banner-early-replies", "< 220 hi|250 ok|250 ok|250 ok|354 go|250 ok\n! over protocol ehlo 0 a reply that was not asked for: 250 ok\n" },
    { "ehlo-500-helo-ok", GREET "< 500 what\n> HELO me.example\n< 250 hi\n! ready\n" },
    { "ehlo-554-helo-refused", GREET "< 554 no\n> HELO me.example\n< 554 no, really\n! over reply ehlo 554 no, really\n> QUIT\n" },
    { "ehlo-421", GREET "< 421 4.3.2 no\n! over reply ehlo 421 4.3.2 no\n" },
    { "ehlo-451", GREET "< 451 4.3.2 no\n! over reply ehlo 451 4.3.2 no\n> QUIT\n" },
    { "ehlo-220", GREET "< 220 hi\n! over protocol ehlo 0 220 is no reply to EHLO: hi\n" },
    { "ehlo-rst", GREET "@reset\n! over dropped ehlo 0 the server reset the connection\n" },
    { "ehlo-hang", GREET "@timeout ehlo\n! over timeout ehlo 0 no reply in time\n" },
    { "ehlo-unsolicited-421", LOCK "< 421 4.3.2 bye\n! over reply idle 421 4.3.2 bye\n" },
    { "quit asked before READY", "@quit\n" LOCK "> QUIT\n< 221 bye\n! over asked quit 221 bye\n" },

    /* 421 at each point (N26) */
    { "421 at MAIL", PIPE "@send 1\n@send 2\n> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> DATA\n< 421 4.7.28 rate\n"
        "! rcpt 1 all mail 421 4.7.28 rate\n! done 1 not_sent\n! done 2 not_sent\n! over reply mail 421 4.7.28 rate\n" },
    { "421 at the second RCPT", PIPE "@send 1 to=a@y,b@y,c@y\n> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> RCPT TO:<b@y>\n> RCPT TO:<c@y>\n> DATA\n"
        "< 250 ok\n< 550 no\n! rcpt 1 0 rcpt 550 no\n< 421 grey\n! rcpt 1 1 rcpt 421 grey\n! done 1 not_sent\n! over reply rcpt 421 grey\n" },
    { "421 at DATA", LOCK "@send 1\n" ENVELOPE "< 421 no\n! rcpt 1 all data 421 no\n! done 1 not_sent\n! over reply data 421 no\n" },
    { "421 at DATA, all refused before", PIPE "@send 1\n> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> DATA\n< 250 ok\n< 550 no\n"
        "! rcpt 1 0 rcpt 550 no\n< 421 no\n! done 1 answered\n! over reply data 421 no\n" },
    { "421 after the dot", PIPE "@send 1\n> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> DATA\n@send 2\n< 250 ok\n< 250 ok\n< 354 go\n" HI_BODY
        "> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> DATA\n< 421 4.3.2 full\n! rcpt 1 all eom 421 4.3.2 full\n! done 1 answered\n"
        "! done 2 not_sent\n! over reply eom 421 4.3.2 full\n" },
    { "421 in the body", LOCK "@send 1\n" ENVELOPE "< 354 go\n>+5\n< 421 4.4.2 slow\n! done 1 not_sent\n! over reply body 421 4.4.2 slow\n" },
    { "421 at idle", TO_DOT "< 250 ok\n! rcpt 1 all eom 250 ok\n! done 1 answered\n< 421 4.4.2 idle too long\n! over reply idle 421 4.4.2 idle too long\n" },
    { "421 at RSET", LOCK "@send 1\n@send 2\n> MAIL FROM:<s@x>\n< 250 ok\n> RCPT TO:<a@y>\n< 550 no\n! rcpt 1 0 rcpt 550 no\n! done 1 answered\n"
        "> RSET\n< 421 bye\n! done 2 not_sent\n! over reply mail 421 bye\n" },
    { "421 to QUIT", LOCK "@quit\n> QUIT\n< 421 bye\n! over asked quit 421 bye\n" },
    { "one-message-then-421", TO_DOT "< 250 ok\n! rcpt 1 all eom 250 ok\n! done 1 answered\n@send 2\n> MAIL FROM:<s@x>\n< 421 4.7.0 one only\n"
        "! rcpt 2 all mail 421 4.7.0 one only\n! done 2 not_sent\n! over reply mail 421 4.7.0 one only\n" },

    /* lies and nonsense (N7, N9, N10, N20, N21, N36) */
    { "mail-354", LOCK "@send 1\n> MAIL FROM:<s@x>\n< 354 go\n! done 1 not_sent\n! over protocol mail 0 354 is no reply to MAIL: go\n" },
    { "rcpt-354", LOCK "@send 1\n> MAIL FROM:<s@x>\n< 250 ok\n> RCPT TO:<a@y>\n< 354 go\n! done 1 not_sent\n! over protocol rcpt 0 354 is no reply to RCPT: go\n" },
    { "data-250", LOCK "@send 1\n" ENVELOPE "< 250 ok\n! done 1 not_sent\n! over protocol data 0 250 is no reply to DATA: ok\n" },
    { "rcpt-code-999", LOCK "@send 1\n> MAIL FROM:<s@x>\n< 999 what\n! done 1 not_sent\n! over protocol mail 0 what the server says is not SMTP\n" },
    { "rcpt-code-2digits", LOCK "@send 1\n> MAIL FROM:<s@x>\n< 25 ok\n! done 1 not_sent\n! over protocol mail 0 what the server says is not SMTP\n" },
    { "rcpt-code-letters", LOCK "@send 1\n> MAIL FROM:<s@x>\n< 2x0 ok\n! done 1 not_sent\n! over protocol mail 0 what the server says is not SMTP\n" },
    { "rcpt-code-1yz", LOCK "@send 1\n> MAIL FROM:<s@x>\n< 150 ok\n! done 1 not_sent\n! over protocol mail 0 what the server says is not SMTP\n" },
    { "ehlo-stale-enhanced", LOCK "@send 1\n> MAIL FROM:<s@x>\n< 451 4.\n! rcpt 1 all mail 451 4.\n! done 1 answered\n" },
    { "data-451-in-body", LOCK "@send 1\n" ENVELOPE "< 354 go\n>+9\n< 451 4.3.0 disk\n! done 1 not_sent\n! over protocol body 451 4.3.0 disk\n" },
    { "data-250-in-body", LOCK "@send 1\n" ENVELOPE "< 354 go\n>+9\n< 250 ok\n! done 1 not_sent\n! over protocol body 0 a reply that was not asked for: 250 ok\n" },
    { "250 before the last byte of the dot", LOCK "@send 1\n" ENVELOPE "< 354 go\n>+21\n< 250 ok\n! done 1 not_sent\n"
        "! over protocol body 0 a reply that was not asked for: 250 ok\n" },
    { "250 just after it", LOCK "@send 1\n" ENVELOPE "< 354 go\n>+22\n< 250 ok\n! rcpt 1 all eom 250 ok\n! done 1 answered\n" },
    { "extra-250-after-data", LOCK "@send 1\n" ENVELOPE "< 354 go|250 ok\n! done 1 not_sent\n! over protocol body 0 a reply that was not asked for: 250 ok\n" },
    { "one reply too many, pipelined", PIPE "@send 1\n> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> DATA\n< 250 ok\n< 250 ok\n< 250 ok\n"
        "! done 1 not_sent\n! over protocol data 0 250 is no reply to DATA: ok\n" },
    { "doubled replies", "< 220 hi|220 hi\n! over protocol ehlo 0 a reply that was not asked for: 220 hi\n" },
    { "unasked 250 at idle", LOCK "< 250 ok\n! over protocol idle 0 a reply that was not asked for: 250 ok\n" },
    { "unasked 550 at idle", LOCK "< 550 no\n! over protocol idle 550 no\n" },

    /* the end (N8, N22, N23, N25) */
    { "mail-close", LOCK "@send 1\n> MAIL FROM:<s@x>\n@eof\n! done 1 not_sent\n! over dropped mail 0 the server closed the connection\n" },
    { "rcpt-never", LOCK "@send 1\n> MAIL FROM:<s@x>\n< 250 ok\n> RCPT TO:<a@y>\n@timeout rcpt\n! done 1 not_sent\n! over timeout rcpt 0 no reply in time\n" },
    { "data-never", LOCK "@send 1\n" ENVELOPE "@timeout data\n! done 1 not_sent\n! over timeout data 0 no reply in time\n" },
    { "data-never-reads", LOCK "@send 1\n" ENVELOPE "< 354 go\n>+3\n@timeout body\n! done 1 not_sent\n! over timeout body 0 the server does not read the message\n" },
    { "data-rst-in-body", LOCK "@send 1\n" ENVELOPE "< 354 go\n>+9\n@reset\n! done 1 not_sent\n! over dropped body 0 the server reset the connection\n" },
    { "reset within the dot", LOCK "@send 1\n" ENVELOPE "< 354 go\n>+21\n@reset\n! done 1 not_sent\n! over dropped body 0 the server reset the connection\n" },
    { "dot-451", TO_DOT "< 451 4.3.0 no\n! rcpt 1 all eom 451 4.3.0 no\n! done 1 answered\n" },
    { "dot-554", TO_DOT "< 554 5.7.1 no\n! rcpt 1 all eom 554 5.7.1 no\n! done 1 answered\n" },
    { "dot-220", TO_DOT "< 220 odd\n! rcpt 1 all eom 220 odd\n! done 1 answered\n" },
    { "dot-close", TO_DOT "@eof\n! done 1 in_doubt\n! over dropped eom 0 the server closed the connection\n" },
    { "dot-rst", TO_DOT "@reset\n! done 1 in_doubt\n! over dropped eom 0 the server reset the connection\n" },
    { "dot-hang", TO_DOT "@timeout eom\n! done 1 in_doubt\n! over timeout eom 0 no reply in time\n" },
    { "dot-partial-250", TO_DOT "<+25\n@eof\n! done 1 in_doubt\n! over dropped eom 0 the server closed the connection\n" },
    { "dot-250-dash", TO_DOT "< 250-ok\n@eof\n! done 1 in_doubt\n! over dropped eom 0 the server closed the connection\n" },
    { "dot-250-no-crlf", TO_DOT "<+250 ok\n@eof\n! done 1 in_doubt\n! over dropped eom 0 the server closed the connection\n" },
    { "dot-354", TO_DOT "< 354 go on\n! done 1 in_doubt\n! over protocol eom 0 354 is no reply to final dot: go on\n" },
    { "dot-garbage", TO_DOT "< okay\n! done 1 in_doubt\n! over protocol eom 0 what the server says is not SMTP\n" },
    { "dot in doubt, the next is not", PIPE "@send 1\n@send 2\n@send 3\n> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> DATA\n< 250 ok\n< 250 ok\n< 354 go\n"
        HI_BODY "> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> DATA\n@eof\n! done 1 in_doubt\n! done 2 not_sent\n! done 3 not_sent\n"
        "! over dropped eom 0 the server closed the connection\n" },
    { "dot-250-then-421", TO_DOT "< 250 ok|421 bye\n! rcpt 1 all eom 250 ok\n! done 1 answered\n! over reply idle 421 bye\n" },
    { "dot-250-then-rst", TO_DOT "< 250 ok\n! rcpt 1 all eom 250 ok\n! done 1 answered\n@quit\n> QUIT\n@reset\n! over asked quit 0 the server reset the connection\n" },
    { "quit-hang", LOCK "@quit\n> QUIT\n@timeout quit\n! over asked quit 0 no reply in time\n" },
    { "quit-354", LOCK "@quit\n> QUIT\n< 354 what\n! over asked quit 354 what\n" },
    { "quit-garbage", LOCK "@quit\n> QUIT\n< hm\n! over asked quit 0 what the server says is not SMTP\n" },
    { "half-close at idle", LOCK "@eof\n! over dropped idle 0 the server closed the connection\n" },
    { "quit waits for what is under way", PIPE "@send 1\n> MAIL FROM:<s@x> SIZE=19\n> RCPT TO:<a@y>\n> DATA\n@quit\n< 250 ok\n< 250 ok\n< 354 go\n" HI_BODY
        "< 250 ok\n! rcpt 1 all eom 250 ok\n! done 1 answered\n> QUIT\n< 221 bye\n! over asked quit 221 bye\n" },
};

/* ---- the player -------------------------------------------------------- */

enum split { WHOLE, BYTES, RANDOM, SPLITS = 12 };
enum { TIMEOUT_BASE_MS = 10000 };

struct play {
    struct session *s;
    const char *name;
    unsigned split, seed;
    struct mono now;
    struct buf out;                     /* written, not yet asked for */
    struct buf events;                  /* one a line */
    bool over;
};

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 16;
}

static size_t piece(struct play *p, size_t len)
{
    size_t n = p->split == WHOLE ? len : p->split == BYTES ? 1 : 1 + next_random(&p->seed) % 40;

    return n < len ? n : len;
}

static const char *ended_name(enum wire_ended ended)
{
    return ended == ENDED_ANSWERED ? "answered" : ended == ENDED_NOT_SENT ? "not_sent" : "in_doubt";
}

static void note_reply(struct buf *b, const struct reply *r)
{
    char text[2000];

    if (r->code == 0)
        buf_printf(b, " 0 %s\n", r->text);
    else
        buf_printf(b, " %s\n", reply_format(r, text, sizeof(text)));
}

static void note(struct buf *b, const struct session_event *v)
{
    switch (v->kind) {
    case SESSION_READY:
        buf_printf(b, "ready%s%s%s%s", v->u.up.pipelining ? " pipelining" : "", v->u.up.eight_bit ? " 8bit" : "",
                   v->u.up.chunking ? " chunking" : "", v->u.up.dsn ? " dsn" : "");
        if (v->u.up.size_known)
            buf_printf(b, " size=%llu", (unsigned long long)v->u.up.size_limit);
        buf_char(b, '\n');
        break;
    case SESSION_RCPT:
        buf_printf(b, "rcpt %u ", v->u.rcpt.flight);
        if (v->u.rcpt.index == WIRE_ALL)
            buf_str(b, "all");
        else
            buf_printf(b, "%u", v->u.rcpt.index);
        buf_printf(b, " %s", phase_name(v->u.rcpt.phase));
        note_reply(b, &v->u.rcpt.reply);
        break;
    case SESSION_DONE:
        buf_printf(b, "done %u %s\n", v->u.done.flight, ended_name(v->u.done.ended));
        break;
    case SESSION_SAID:
        buf_printf(b, "said %u %s\n", v->u.said.flight, v->u.said.text);
        break;
    case SESSION_OVER:
        buf_printf(b, "over %s %s", wire_why_name(v->u.fail.why), phase_name(v->u.fail.phase));
        note_reply(b, &v->u.fail.reply);
        break;
    }
}

static void drain(struct play *p)
{
    struct session_event v;

    while (session_event(p->s, &v)) {
        ck_assert_msg(!p->over, "%s: an event after OVER", p->name);
        p->over = v.kind == SESSION_OVER;
        note(&p->events, &v);
    }
}

static void server_says(struct play *p, const char *bytes, size_t len)
{
    while (len > 0) {
        size_t n = piece(p, len);
        char *copy = malloc(n);         /* of its exact size, for the sanitizer */
        memcpy(copy, bytes, n);
        session_input(p->s, copy, n, p->now);
        free(copy);
        drain(p);
        bytes += n;
        len -= n;
    }
}

/* Lets up to MAX bytes leave. */
static void client_writes(struct play *p, size_t max)
{
    char out[4096];

    while (p->out.len < max) {
        size_t room = max - p->out.len < sizeof(out) ? max - p->out.len : sizeof(out);
        size_t n = session_output(p->s, out, piece(p, room)), left = n;
        drain(p);
        if (n == 0)
            break;
        buf_add(&p->out, out, n);
        while (left > 0 && !p->over) {
            size_t some = piece(p, left);
            session_wrote(p->s, some, p->now);
            left -= some;
        }
    }
    drain(p);
}

static void send_word(struct wire_send *w, char *word, const char **msg)
{
    static const char *rcpt[WIRE_RCPT_MAX];

    if (strncmp(word, "from=", 5) == 0)
        w->sender = word + 5;
    else if (strncmp(word, "msg=", 4) == 0)
        *msg = word + 4;
    else if (strncmp(word, "wire=", 5) == 0)
        w->wire_bytes = strtoull(word + 5, NULL, 10);
    else if (strcmp(word, "8bit") == 0)
        w->eight_bit = true;
    else if (strcmp(word, "say") == 0)
        w->say = true;
    else if (strcmp(word, "short") == 0)
        w->disk_bytes = 1;
    else if (strncmp(word, "to=", 3) == 0) {
        w->nrcpt = 0;
        w->rcpt = rcpt;
        for (char *r = word + 3; r != NULL; w->nrcpt++)
            rcpt[w->nrcpt] = strsep(&r, ",");
    }
}

static uint64_t wire_length(const char *bytes, size_t len)
{
    uint64_t n = len;

    for (size_t i = 0; i < len; i++)
        n += bytes[i] == '\n';
    return n;
}

static int message_fd(struct wire_send *w, const char *bytes, size_t len)
{
    int fd = memfd_create("message", MFD_CLOEXEC);

    ck_assert_int_ne(fd, -1);
    ck_assert(write(fd, "head", 4) == 4 && write(fd, bytes, len) == (ssize_t)len);
    w->message_at = 4;
    w->disk_bytes += len;
    if (w->wire_bytes == 0)
        w->wire_bytes = wire_length(bytes, len);
    return fd;
}

static void play_send(struct play *p, char *words)
{
    static const char *const nobody_else[] = { "a@y" };
    struct wire_send w = { .sender = "s@x", .nrcpt = 1, .rcpt = nobody_else };
    const char *msg = "hi";
    struct err e;
    size_t i = 0;

    w.flight = (uint32_t)strtoul(words, &words, 10);
    for (char *word; (word = strsep(&words, " ")) != NULL;) {
        if (*word == '"')               /* the one test with a blank in an address */
            continue;
        if (strncmp(word, "to=\"", 4) == 0 && words != NULL) {
            word[strlen(word)] = ' ';
            words = NULL;
        }
        send_word(&w, word, &msg);
    }
    while (strcmp(messages[i].name, msg) != 0)
        i++;
    ck_assert_msg(session_send(p->s, &w, message_fd(&w, messages[i].bytes, strlen(messages[i].bytes)), p->now, &e) == 0,
                  "%s: %s", p->name, e.text);
    drain(p);
}

static void play_act(struct play *p, char *act)
{
    if (strncmp(act, "send ", 5) == 0) {
        play_send(p, act + 5);
    } else if (strcmp(act, "quit") == 0) {
        session_quit(p->s, p->now);
    } else if (strcmp(act, "eof") == 0) {
        session_eof(p->s, false, p->now);
    } else if (strcmp(act, "reset") == 0) {
        session_eof(p->s, true, p->now);
    } else if (strcmp(act, "quiet") == 0) {
        ck_assert_msg(!session_wants_write(p->s) && session_deadline(p->s).ms == CLOCK_NEVER, "%s: not quiet", p->name);
    } else {
        enum phase phase;
        ck_assert_msg(phase_from_name(act + 8, &phase), "%s: %s", p->name, act);
        ck_assert_msg(session_deadline(p->s).ms == p->now.ms + TIMEOUT_BASE_MS + (int64_t)phase, "%s: the deadline is not %s's", p->name, act);
        p->now.ms = session_deadline(p->s).ms;
        session_timeout(p->s, (struct mono){ p->now.ms - 1 });
        session_timeout(p->s, p->now);
    }
    drain(p);
}

static void expect_line(struct play *p, struct buf *b, const char *what, const char *line, const char *end)
{
    size_t n = strlen(line), m = strlen(end);
    bool same = b->len >= n + m && memcmp(b->data, line, n) == 0 && memcmp(b->data + n, end, m) == 0;

    ck_assert_msg(same, "%s (split %u): %s '%s' wanted, there is '%.*s'", p->name, p->split, what, line, (int)b->len, b->len > 0 ? b->data : "");
    buf_consume(b, n + m);
}

static void play_server(struct play *p, const char *line, bool bare)
{
    struct buf text = BUF_INIT(10000);

    for (; *line != '\0'; line++)
        buf_add(&text, *line == '|' ? "\r\n" : line, *line == '|' ? 2 : 1);
    if (!bare)
        buf_str(&text, "\r\n");
    else if (text.len == 0)
        buf_str(&text, "\n");
    server_says(p, text.data, text.len);
    buf_fini(&text);
}

static void play_line(struct play *p, char *line)
{
    if (line[0] != '!' && line[0] != '>')
        ck_assert_msg(p->events.len == 0, "%s (split %u): events at '%s': %.*s", p->name, p->split, line, (int)p->events.len, p->events.data);
    if (line[0] == '>' && line[1] == '+') {
        client_writes(p, strtoul(line + 2, NULL, 10));
        buf_clear(&p->out);
    } else if (line[0] == '>') {
        client_writes(p, 100000);
        expect_line(p, &p->out, "line", line + 2, "\r\n");
    } else if (line[0] == '!') {
        expect_line(p, &p->events, "event", line + 2, "\n");
    } else if (line[0] == '@') {
        ck_assert_msg(p->out.len == 0, "%s (split %u): '%.*s' was written", p->name, p->split, (int)p->out.len, p->out.data);
        play_act(p, line + 1);
    } else {
        play_server(p, line + 2, line[1] == '+');
    }
}

static int fds_open(void)
{
    int n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) != -1;
    return n;
}

static struct session *session_start(unsigned flights)
{
    uint32_t timeout_ms[PHASE_COUNT];
    struct session_options o = { .helo = "me.example", .timeout_ms = timeout_ms, .window = flights };
    struct session *s;

    for (uint32_t i = 0; i < PHASE_COUNT; i++)
        timeout_ms[i] = TIMEOUT_BASE_MS + i;
    s = session_new(&o, (struct mono){ 1000 }, NULL);
    ck_assert_ptr_nonnull(s);
    return s;
}

static void play(const struct dialogue *d, unsigned split)
{
    struct play p = { .s = session_start(4), .name = d->name, .split = split, .seed = split, .now = { 1000 },
                      .out = BUF_INIT(1 << 20), .events = BUF_INIT(1 << 20) };
    char *script = strdup(d->script), *rest = script, *line;
    int fds = fds_open();

    while ((line = strsep(&rest, "\n")) != NULL)
        if (*line != '\0')
            play_line(&p, line);
    client_writes(&p, 100000);
    ck_assert_msg(p.out.len == 0, "%s (split %u): '%.*s' was written", d->name, split, (int)p.out.len, p.out.data);
    ck_assert_msg(p.events.len == 0, "%s (split %u): events at the end: %.*s", d->name, split, (int)p.events.len, p.events.data);
    session_free(p.s);
    ck_assert_msg(fds_open() <= fds, "%s: descriptors leak", d->name);
    buf_fini(&p.out);
    buf_fini(&p.events);
    free(script);
}

START_TEST(dialogue)
{
    for (unsigned split = 0; split < SPLITS; split++)
        play(&dialogues[_i], split);
}
END_TEST

/* ---- what a line of dialogue cannot show ------------------------------- */

static void say(struct session *s, const char *text, struct mono now)
{
    session_input(s, text, strlen(text), now);
}

/* All that it wants to write leaves at NOW. */
static size_t flush(struct session *s, char *out, size_t room, struct mono now)
{
    size_t n = session_output(s, out, room - 1);

    out[n] = '\0';
    session_wrote(s, n, now);
    return n;
}

static void events_drop(struct session *s)
{
    struct session_event v;

    while (session_event(s, &v))
        ;
}

/* N2: a byte now and then does not move the deadline of a reply; progress in writing moves that of a body. */
START_TEST(deadlines)
{
    static const char *const rcpt[] = { "a@y" };
    struct session *s = session_start(2);
    struct wire_send w = { .sender = "", .nrcpt = 1, .rcpt = rcpt };
    char out[4096];
    int fd;

    ck_assert(session_deadline(s).ms == 1000 + TIMEOUT_BASE_MS + PHASE_BANNER);
    say(s, "2", (struct mono){ 1500 });
    for (int64_t t = 2000; t < 9000; t += 1000)
        say(s, "20-wait\r\n2", (struct mono){ t });
    ck_assert(session_deadline(s).ms == 1000 + TIMEOUT_BASE_MS + PHASE_BANNER);
    say(s, "20 hi\r\n", (struct mono){ 9000 });
    ck_assert(session_deadline(s).ms == 9000 + TIMEOUT_BASE_MS + PHASE_EHLO);
    flush(s, out, sizeof(out), (struct mono){ 9500 });
    ck_assert(session_deadline(s).ms == 9500 + TIMEOUT_BASE_MS + PHASE_EHLO);
    say(s, "250-x\r\n250 PIPELINING\r\n", (struct mono){ 10000 });
    ck_assert(session_deadline(s).ms == CLOCK_NEVER);
    events_drop(s);

    fd = message_fd(&w, "x\n", 2);
    ck_assert(session_send(s, &w, fd, (struct mono){ 20000 }, NULL) == 0);
    flush(s, out, sizeof(out), (struct mono){ 20000 });
    say(s, "250 ok\r\n", (struct mono){ 21000 });
    ck_assert(session_deadline(s).ms == 21000 + TIMEOUT_BASE_MS + PHASE_RCPT);
    say(s, "250 ok\r\n354 go\r\n", (struct mono){ 22000 });
    ck_assert(session_output(s, out, sizeof(out)) == 6);
    ck_assert(session_deadline(s).ms == 22000 + TIMEOUT_BASE_MS + PHASE_BODY);
    session_wrote(s, 3, (struct mono){ 23000 });
    ck_assert(session_deadline(s).ms == 23000 + TIMEOUT_BASE_MS + PHASE_BODY);
    ck_assert(!session_in_doubt(s));
    session_wrote(s, 3, (struct mono){ 24000 });
    ck_assert(session_deadline(s).ms == 24000 + TIMEOUT_BASE_MS + PHASE_EOM);
    ck_assert(session_in_doubt(s));
    session_timeout(s, (struct mono){ 24000 + TIMEOUT_BASE_MS });
    events_drop(s);
    ck_assert(session_in_doubt(s));     /* too early: nothing happened */
    session_free(s);
}
END_TEST

/* The window is what it says, and a session that is over takes nothing. */
START_TEST(window)
{
    static const char *const rcpt[] = { "a@y" };
    static const char *const bad_rcpt[] = { "a@y>\r\nRSET" };
    struct session *s = session_start(2);
    struct wire_send w = { .sender = "", .nrcpt = 1, .rcpt = rcpt };
    struct mono now = { 1000 };
    int fds = fds_open();
    struct err e;

    ck_assert(!session_room(s));
    ck_assert(session_send(s, &w, message_fd(&w, "x", 1), now, &e) == -1 && e.class == EX_UNAVAILABLE);
    char out[4096];
    say(s, "220 x\r\n", now);
    flush(s, out, sizeof(out), now);
    say(s, "250 x\r\n", now);
    ck_assert(session_room(s));
    w.rcpt = bad_rcpt;
    ck_assert(session_send(s, &w, message_fd(&w, "x", 1), now, &e) == -1 && e.class == EX_DATAERR);
    w.rcpt = rcpt;
    ck_assert(session_send(s, &w, message_fd(&w, "x", 1), now, &e) == 0);
    ck_assert(session_room(s));
    ck_assert(session_send(s, &w, message_fd(&w, "x", 1), now, &e) == 0);
    ck_assert(!session_room(s));
    session_eof(s, true, now);
    ck_assert(!session_room(s) && !session_wants_write(s));
    ck_assert(session_deadline(s).ms == CLOCK_NEVER);
    ck_assert_int_eq(fds_open(), fds);
    events_drop(s);
    session_free(s);
}
END_TEST

/* N3, N4: memory stays flat, and there is an end. */
START_TEST(floods)
{
    static const char *const replies[] = { "250-more\r\n", "x", "250 ", "220-", "\r\n", "\n", "" };
    struct mono now = { 1000 };
    char block[65536], out[4096];

    for (int i = 0; i < LENGTH(replies); i++) {
        struct session *s = session_start(2);
        size_t n = strlen(replies[i]) + (*replies[i] == '\0'), total = 0;
        struct session_event v = { .kind = SESSION_READY };
        for (size_t at = 0; at < sizeof(block); at++)
            block[at] = replies[i][at % n];
        say(s, "220 hi\r\n", now);
        flush(s, out, sizeof(out), now);
        while (total < 10000000 && !(session_event(s, &v) && v.kind == SESSION_OVER)) {
            session_input(s, block, sizeof(block), now);
            total += sizeof(block);
        }
        ck_assert_msg(v.kind == SESSION_OVER && v.u.fail.why == WHY_PROTOCOL, "flood of '%s' has no end", replies[i]);
        session_free(s);
    }
}
END_TEST

/* READY with PIPELINING, and a flight to a hundred recipients with long names. */
static struct session *hundred(char *out, size_t room, struct mono now)
{
    static char names[WIRE_RCPT_MAX][600];
    static const char *rcpt[WIRE_RCPT_MAX];
    struct wire_send w = { .sender = "", .nrcpt = WIRE_RCPT_MAX, .rcpt = rcpt, .say = true };
    struct session *s = session_start(2);

    for (int i = 0; i < WIRE_RCPT_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "%0500d@y", i);
        rcpt[i] = names[i];
    }
    say(s, "220 x\r\n", now);
    flush(s, out, room, now);
    say(s, "250-x\r\n250 PIPELINING\r\n", now);
    events_drop(s);
    ck_assert(session_send(s, &w, message_fd(&w, "x", 1), now, NULL) == 0);
    return s;
}

/* A hundred recipients go in one group, whatever their length. */
START_TEST(long_group)
{
    static char out[200000];
    struct mono now = { 1000 };
    struct session *s = hundred(out, sizeof(out), now);
    struct session_event v;
    unsigned refused = 0;

    flush(s, out, sizeof(out), now);
    events_drop(s);
    ck_assert_ptr_nonnull(strstr(out, "000099@y>\r\nDATA\r\n"));
    for (int i = 0; i < WIRE_RCPT_MAX + 2; i++)
        say(s, i < 1 ? "250 ok\r\n" : "550 no\r\n", now);
    while (session_event(s, &v)) {
        refused += v.kind == SESSION_RCPT;
        ck_assert(v.kind != SESSION_RCPT || v.u.rcpt.index == refused - 1);
    }
    ck_assert_uint_eq(refused, WIRE_RCPT_MAX);
    session_free(s);
}
END_TEST

/* MAIL is refused before all of the group was made: the rest is never written. */
START_TEST(group_cut_short)
{
    static char out[200000];
    struct mono now = { 1000 };
    struct session *s = hundred(out, sizeof(out), now);
    struct session_event v = { .kind = SESSION_OVER };
    unsigned lines = 0;

    flush(s, out, 2000, now);
    say(s, "550 no\r\n", now);
    for (size_t n; (n = flush(s, out, sizeof(out), now)) > 0;)
        for (size_t i = 0; i < n; i++)
            lines += out[i] == '\n';
    ck_assert(lines > 1 && lines < 20);
    ck_assert_ptr_null(strstr(out, "DATA"));
    for (unsigned i = 0; i < 20 && v.kind != SESSION_DONE; i++) {
        say(s, "503 no\r\n", now);
        while (v.kind != SESSION_DONE && session_event(s, &v))
            ck_assert(v.kind != SESSION_RCPT || v.u.rcpt.index == WIRE_ALL);
    }
    ck_assert(v.kind == SESSION_DONE && v.u.done.ended == ENDED_ANSWERED);
    session_free(s);
}
END_TEST

/* ---- a server that says anything --------------------------------------- */

enum { FLIGHTS = 40, FUZZ_ROUNDS = 4000 };

struct fuzz {
    struct session *s;
    unsigned seed, round;
    struct mono now;
    char wrote[400000];                 /* all that has left */
    size_t wrote_len;
    size_t pending;                     /* given, not left yet: at the end of `wrote` */
    size_t read;                        /* of it, by the server */
    bool data;                          /* it reads a message */
    unsigned sent;
    struct { bool done, delivered, told; unsigned nrcpt, refused; } flight[FLIGHTS + 1];
    bool said_2yz, over;                /* in the present input */
};

/* The dot of flight N has left: its body is like no other. */
static bool dot_left(struct fuzz *f, uint32_t n)
{
    char mark[40];

    snprintf(mark, sizeof(mark), "BODY-%u.\r\n.\r\n", n);
    return memmem(f->wrote, f->wrote_len, mark, strlen(mark)) != NULL;
}

static void fuzz_event(struct fuzz *f, const struct session_event *v)
{
    ck_assert_msg(!f->over, "round %u: an event after OVER", f->round);
    if (v->kind == SESSION_RCPT) {
        uint32_t n = v->u.rcpt.flight;
        int code = v->u.rcpt.reply.code;
        ck_assert(n >= 1 && n <= f->sent && !f->flight[n].done);
        ck_assert(v->u.rcpt.index == WIRE_ALL || v->u.rcpt.index < f->flight[n].nrcpt);
        ck_assert(code >= 400 || v->u.rcpt.phase == PHASE_EOM);
        if (code < 300)
            ck_assert_msg(dot_left(f, n) && f->said_2yz && !f->flight[n].told, "round %u: flight %u delivered by a lie", f->round, n);
        f->flight[n].delivered |= code < 300;
        f->flight[n].refused += v->u.rcpt.index != WIRE_ALL;
        f->flight[n].told |= v->u.rcpt.index == WIRE_ALL || f->flight[n].refused == f->flight[n].nrcpt;
    } else if (v->kind == SESSION_DONE) {
        uint32_t n = v->u.done.flight;
        ck_assert_msg(n >= 1 && n <= f->sent && !f->flight[n].done, "round %u: flight %u done twice", f->round, n);
        f->flight[n].done = true;
        ck_assert_msg(v->u.done.ended != ENDED_ANSWERED || f->flight[n].told, "round %u: flight %u answered, not told", f->round, n);
        ck_assert_msg(v->u.done.ended != ENDED_IN_DOUBT || dot_left(f, n), "round %u: flight %u in doubt, not sent", f->round, n);
        ck_assert_msg(v->u.done.ended == ENDED_ANSWERED || !f->flight[n].delivered, "round %u: flight %u delivered and not", f->round, n);
    }
    f->over = v->kind == SESSION_OVER;
}

static void fuzz_drain(struct fuzz *f)
{
    struct session_event v;

    while (session_event(f->s, &v))
        fuzz_event(f, &v);
}

/* What an honest server would answer to what it has read; NULL: nothing yet. */
static const char *fuzz_honest(struct fuzz *f)
{
    const char *line = f->wrote + f->read, *lf;

    while ((lf = memchr(line, '\n', (size_t)(f->wrote + f->wrote_len - line))) != NULL) {
        bool dot = lf - line == 2 && *line == '.';
        f->read = (size_t)(lf + 1 - f->wrote);
        if (f->data && dot) {
            f->data = false;
            return next_random(&f->seed) % 4 == 0 ? "451 no\r\n" : "250 queued\r\n";
        }
        if (!f->data && strncmp(line, "EHLO", 4) == 0)
            return f->round % 3 == 0 ? "250-x\r\n250 SIZE 23\r\n" : "250-x\r\n250-8BITMIME\r\n250 PIPELINING\r\n";
        if (!f->data && strncmp(line, "DATA", 4) == 0) {
            f->data = next_random(&f->seed) % 8 != 0;
            return f->data ? "354 go\r\n" : "451 no\r\n";
        }
        if (!f->data)
            return next_random(&f->seed) % 8 == 0 ? "550 no\r\n" : "250 ok\r\n";
        line = lf + 1;
    }
    return NULL;
}

static void fuzz_input(struct fuzz *f)
{
    static const char *const lies[] = {
        "250 ok\r\n", "354 go\r\n", "250-a\r\n250-SIZE 100\r\n250-PIPELINING\r\n250 8BITMIME\r\n", "550 no\r\n", "450 no\r\n",
        "451-a\r\n451 b\r\n", "221 x\r\n", "421 bye\r\n", "2", "50 ok\r\n", "250-", "\r\n", "503 x\r\n503 x\r\n",
        "250 ok\r\n250 ok\r\n354 go\r\n", "x", "252 x\n", "220 hi\r\n",
    };
    bool lie = next_random(&f->seed) % 40 == 0;
    const char *text = lie ? lies[next_random(&f->seed) % (size_t)LENGTH(lies)] : fuzz_honest(f);

    if (text == NULL)
        return;
    f->said_2yz = strchr(text, '2') != NULL || strstr(text, "50") != NULL || *text == '\r';
    say(f->s, text, f->now);
    fuzz_drain(f);
}

static void fuzz_output(struct fuzz *f)
{
    size_t room = next_random(&f->seed) % 4 == 0 ? 1 + next_random(&f->seed) % 50 : 8192, left;
    char *to = f->wrote + f->wrote_len + f->pending;

    if (room > sizeof(f->wrote) - f->wrote_len - f->pending)
        return;
    f->pending += session_output(f->s, to, room);
    left = next_random(&f->seed) % 2 == 0 ? f->pending : next_random(&f->seed) % (f->pending + 1);
    session_wrote(f->s, left, f->now);
    f->wrote_len += left;
    f->pending -= left;
    fuzz_drain(f);
}

static void fuzz_send(struct fuzz *f)
{
    static const char *const rcpt[] = { "a@y", "b@y", "c@y" };
    struct wire_send w = { .sender = "s@x", .rcpt = rcpt, .nrcpt = 1 + next_random(&f->seed) % 3, .flight = f->sent + 1 };
    char body[100];
    int n, fd;

    if (!session_room(f->s) || f->sent == FLIGHTS)
        return;
    n = snprintf(body, sizeof(body), "Subject: x\n\nBODY-%u.%s", w.flight, next_random(&f->seed) % 2 == 0 ? "\n" : "");
    w.say = next_random(&f->seed) % 2 == 0;
    w.eight_bit = next_random(&f->seed) % 8 == 0;
    fd = message_fd(&w, body, (size_t)n);
    w.disk_bytes += next_random(&f->seed) % 100 == 0;           /* shorter than was said */
    f->flight[w.flight].nrcpt = w.nrcpt;
    f->sent++;
    ck_assert(session_send(f->s, &w, fd, f->now, NULL) == 0);
    fuzz_drain(f);
}

static void fuzz_step(struct fuzz *f)
{
    unsigned what = next_random(&f->seed) % 40;

    f->said_2yz = false;
    f->now.ms += 10;
    if (what < 15)
        fuzz_input(f);
    else if (what < 30)
        fuzz_output(f);
    else if (what < 38)
        fuzz_send(f);
    else if (what == 38 && next_random(&f->seed) % 30 == 0)
        session_quit(f->s, f->now);
    else if (what == 39 && next_random(&f->seed) % 10 == 0) {
        f->now.ms += TIMEOUT_BASE_MS * 2;
        session_timeout(f->s, f->now);
    }
    fuzz_drain(f);
}

START_TEST(any_server)
{
    static struct fuzz f;
    unsigned delivered = 0;
    int fds = fds_open();

    for (unsigned round = 0; round < FUZZ_ROUNDS; round++) {
        memset(&f, 0, sizeof(f));
        f.s = session_start(2 + round % 3);
        f.round = round;
        f.seed = round;
        say(f.s, "220 hi\r\n", f.now);
        for (unsigned step = 0; step < 300 && !f.over; step++)
            fuzz_step(&f);
        f.said_2yz = false;
        session_eof(f.s, round % 2 == 0, f.now);
        fuzz_drain(&f);
        ck_assert_msg(f.over, "round %u: no OVER", round);
        for (unsigned n = 1; n <= f.sent; n++) {
            ck_assert_msg(f.flight[n].done, "round %u: flight %u never done", round, n);
            delivered += f.flight[n].delivered;
        }
        session_free(f.s);
    }
    ck_assert_int_eq(fds_open(), fds);
    ck_assert_msg(delivered > FUZZ_ROUNDS, "only %u delivered: the server is too mad to test anything", delivered);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("session");
    TCase *tc = tcase_create("session");

    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, dialogue, 0, LENGTH(dialogues));
    tcase_add_test(tc, deadlines);
    tcase_add_test(tc, window);
    tcase_add_test(tc, floods);
    tcase_add_test(tc, long_group);
    tcase_add_test(tc, group_cut_short);
    tcase_add_test(tc, any_server);
    suite_add_tcase(s, tc);
    return s;
}
