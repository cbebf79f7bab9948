/* mime_code: the transfer encodings (RFC 2045 6.7, 6.8) piece by piece. Pure. */
#ifndef ABIDE_COMMON_MIME_CODE_H
#define ABIDE_COMMON_MIME_CODE_H

#include <stdbool.h>
#include <stddef.h>

enum { MIME_CODE_AHEAD = 128 };         /* bytes a coder may leave for the next call */

/* Encodes from IN to OUT, which has room for 4 * LEN + 8 bytes; returns their
 * number. *COLUMN is 0 at the beginning of a body and belongs to the coder.
 * Unless LAST it may leave up to MIME_CODE_AHEAD bytes: *used_r tells. */
typedef size_t mime_coder(unsigned *column, const char *in, size_t len, bool last, char *out, size_t *used_r);

mime_coder mime_code_qp;                /* text; LF ends lines */
mime_coder mime_code_base64;            /* anything, byte by byte; no line end after the last line */
mime_coder mime_code_qp_mend;           /* quoted-printable with over-long lines or 8-bit bytes: decodes to the same */
mime_coder mime_code_base64_wrap;       /* base64 with over-long lines: decodes to the same */

#endif
