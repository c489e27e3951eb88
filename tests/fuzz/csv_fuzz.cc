// The decoder of csv files: see decode_block.h.
#include "tests/fuzz/decode_block.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  thalweg::fuzz::decode_block(thalweg::FileFormat::kCsv, data, size);
  return 0;
}
