// CPU instructions that Swift has no name for.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// CRC-32C (Castagnoli) of `count` bytes, continued from `crc` (0 to begin), as the Kafka record batch carries it.
/// Uses the SSE 4.2 or ARMv8 instruction, three streams at once; a table where there is neither.
uint32_t martlet_crc32c(uint32_t crc, const uint8_t *bytes, size_t count);
