#include "CInstructions.h"

#include <string.h>

// A shift of a CRC over `STRIDE` zero bytes is linear, so three interleaved streams can be joined by two table look-ups a stream:
// the instruction has a latency of 3 cycles and a throughput of 1, and one stream would leave two thirds of it idle.
#define STRIDE 1024
#define POLYNOMIAL 0x82F63B78u

static uint32_t byte_table[256];
static uint32_t shift_table[4][256];

static uint32_t crc_zeros(uint32_t crc, size_t count) {
    while (count--) crc = (crc >> 8) ^ byte_table[crc & 0xff];
    return crc;
}

__attribute__((constructor)) static void build_tables(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = (c & 1) ? (c >> 1) ^ POLYNOMIAL : c >> 1;
        byte_table[i] = c;
    }
    for (int lane = 0; lane < 4; lane++)
        for (uint32_t i = 0; i < 256; i++) shift_table[lane][i] = crc_zeros(i << (8 * lane), STRIDE);
}

static inline uint32_t shift(uint32_t crc) {
    return shift_table[0][crc & 0xff] ^ shift_table[1][(crc >> 8) & 0xff] ^ shift_table[2][(crc >> 16) & 0xff] ^
           shift_table[3][crc >> 24];
}

static uint32_t crc_table(uint32_t crc, const uint8_t *p, size_t n) {
    while (n--) crc = (crc >> 8) ^ byte_table[(crc ^ *p++) & 0xff];
    return crc;
}

#if defined(__x86_64__)
#include <immintrin.h>
#define HARDWARE __attribute__((target("sse4.2")))
#define STEP8(c, v) ((uint32_t)_mm_crc32_u64((c), (v)))
#define STEP1(c, v) _mm_crc32_u8((c), (v))
static int has_hardware(void) { return __builtin_cpu_supports("sse4.2"); }
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#define HARDWARE
#define STEP8(c, v) __crc32cd((c), (v))
#define STEP1(c, v) __crc32cb((c), (v))
static int has_hardware(void) { return 1; }
#endif

#ifdef HARDWARE
static inline uint64_t load8(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

HARDWARE static uint32_t crc_hardware(uint32_t crc, const uint8_t *p, size_t n) {
    while (n >= 3 * STRIDE) {
        uint32_t a = crc, b = 0, c = 0;
        for (size_t i = 0; i < STRIDE; i += 8) {
            a = STEP8(a, load8(p + i));
            b = STEP8(b, load8(p + STRIDE + i));
            c = STEP8(c, load8(p + 2 * STRIDE + i));
        }
        crc = shift(shift(a) ^ b) ^ c;
        p += 3 * STRIDE;
        n -= 3 * STRIDE;
    }
    for (; n >= 8; p += 8, n -= 8) crc = STEP8(crc, load8(p));
    for (; n; n--) crc = STEP1(crc, *p++);
    return crc;
}
#endif

uint32_t martlet_crc32c(uint32_t crc, const uint8_t *bytes, size_t count) {
#ifdef HARDWARE
    if (has_hardware()) return ~crc_hardware(~crc, bytes, count);
#endif
    return ~crc_table(~crc, bytes, count);
}
