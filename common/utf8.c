/* utf8: validation of UTF-8 for names in headers and domains. It decodes to
 * nothing and knows no scripts. Called by address and rfc5322. */
#include <config.h>

#include "common/utf8.h"

#include <stdint.h>

static const struct {
    unsigned char mask, mark;
    uint32_t least;                     /* a smaller value had a shorter form */
} forms[] = { { 0x80, 0x00, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 } };

size_t utf8_char(const char *s, size_t len)
{
    for (size_t n = 0; n < 4 && n < len; n++) {
        uint32_t v = (unsigned char)s[0] & (uint32_t)~forms[n].mask;

        if (((unsigned char)s[0] & forms[n].mask) != forms[n].mark)
            continue;
        for (size_t i = 1; i <= n; i++) {
            if (((unsigned char)s[i] & 0xc0) != 0x80)
                return 0;
            v = v << 6 | ((unsigned char)s[i] & 0x3f);
        }
        return v < forms[n].least || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff) ? 0 : n + 1;
    }
    return 0;
}

bool utf8_valid(const char *s, size_t len)
{
    while (len > 0) {
        size_t n = utf8_char(s, len);

        if (n == 0)
            return false;
        s += n;
        len -= n;
    }
    return true;
}
