// engine/types/encoding_marks.h
//
// The first byte of an encoded value, as encoding.h lists them. Part of keys and of stored state: never renumbered.
#pragma once

#include <cstdint>

namespace thalweg {

enum Mark : std::uint8_t {
  kMarkNone = 0x00,
  kMarkBool,
  kMarkInt,
  kMarkFloat,
  kMarkPointer,
  kMarkStr,
  kMarkBytes,
  kMarkTuple,
  kMarkIntArray,
  kMarkFloatArray,
  kMarkNaive,
  kMarkUtc,
  kMarkDuration,
  kMarkJson,
  kMarkUuid,
  kMarkError,
  kMarkPending,
};

}  // namespace thalweg
