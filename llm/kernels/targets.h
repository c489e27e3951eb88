// llm/kernels/targets.h
//
// How a function is compiled for several processors. One that is written plainly is cloned; one that is written with
// intrinsics is chosen by `Isa`.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#define THALWEG_X86 1
#define THALWEG_FOR_PROCESSORS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#define THALWEG_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define THALWEG_AVX2 __attribute__((target("avx2,fma")))
#else
#define THALWEG_X86 0
#define THALWEG_FOR_PROCESSORS
#endif

namespace thalweg::llm {

enum class Isa : unsigned char { kPlain, kAvx2, kAvx512 };

inline Isa isa() {
#if THALWEG_X86
  static const Isa kIsa = [] {
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
      return Isa::kAvx512;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? Isa::kAvx2 : Isa::kPlain;
  }();
  return kIsa;
#else
  return Isa::kPlain;
#endif
}

}  // namespace thalweg::llm
