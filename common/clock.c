/* clock: the only file that asks what time it is. It never fails: where the
 * kernel or the zone is odd, the nearest sane answer is given. Loops call
 * clock_now() once a turn and pass the value down. */
#include <config.h>

#include "common/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef CLOCK_BOOTTIME
enum { CLOCK_SINCE_BOOT = CLOCK_BOOTTIME };
#else
enum { CLOCK_SINCE_BOOT = CLOCK_MONOTONIC };
#endif

/* Four digits of year must do, in every zone: one day less than 10000. */
#define CLOCK_LAST_SECOND INT64_C(253402214399)

static int64_t clock_ms(clockid_t id)
{
    struct timespec ts;

    if (clock_gettime(id, &ts) != 0 && clock_gettime(CLOCK_MONOTONIC, &ts) != 0)
        return 0;
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

struct now clock_now(void)
{
    return (struct now){
        .wall = { clock_ms(CLOCK_REALTIME) },
        .mono = { clock_ms(CLOCK_SINCE_BOOT) },
    };
}

void clock_boot(char out[CLOCK_BOOT_SIZE])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t n = -1;

    if (fd != -1) {
        n = read(fd, out, CLOCK_BOOT_SIZE - 1);
        (void)close(fd);
    }
    out[CLOCK_BOOT_SIZE - 1] = '\0';
    if (n != CLOCK_BOOT_SIZE - 1 || strspn(out, "0123456789abcdef") != CLOCK_BOOT_SIZE - 1)
        (void)strlcpy(out, "-", CLOCK_BOOT_SIZE);
}

/* Local time and its distance from UTC in whole minutes. A zone of more than
 * a day, which a hostile TZ can name, counts as UTC. */
static long clock_local(struct wall at, struct tm *tm)
{
    int64_t s = at.ms < 0 ? 0 : at.ms / 1000;
    time_t t = (time_t)(s > CLOCK_LAST_SECOND ? CLOCK_LAST_SECOND : s);
    long zone = 0;

    if (localtime_r(&t, tm) != NULL && tm->tm_gmtoff > -86400 && tm->tm_gmtoff < 86400)
        zone = tm->tm_gmtoff / 60;
    t += zone * 60;
    if (t < 0 || gmtime_r(&t, tm) == NULL)
        *tm = (struct tm){ .tm_year = 70, .tm_mday = 1, .tm_wday = 4 };
    return zone;
}

void clock_stamp(struct wall at, char out[CLOCK_STAMP_SIZE])
{
    struct tm tm;

    (void)clock_local(at, &tm);
    (void)strftime(out, CLOCK_STAMP_SIZE, "%Y-%m-%d %H:%M:%S", &tm);
}

void clock_date(struct wall at, char out[CLOCK_DATE_SIZE])
{
    static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char months[12][4] = {
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
    };
    struct tm tm;
    long zone = clock_local(at, &tm);
    unsigned off = (unsigned)(zone < 0 ? -zone : zone) % 1440;
    char year_time[16];

    (void)strftime(year_time, sizeof(year_time), "%Y %H:%M:%S", &tm);
    (void)snprintf(out, CLOCK_DATE_SIZE, "%s, %d %s %s %c%02u%02u", days[tm.tm_wday], tm.tm_mday,
                   months[tm.tm_mon], year_time, zone < 0 ? '-' : '+', off / 60, off % 60);
}
