// The four codecs of the Kafka protocol, as Debian ships them.
#pragma once
#include <zlib.h>
#include <lz4.h>
#include <lz4frame.h>
#include <zstd.h>
#include <zstd_errors.h>
#include <snappy-c.h>
