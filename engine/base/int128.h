// engine/base/int128.h
//
// 128-bit integers and floats (113 bits of mantissa): GNU extensions that every compiler of ours has.
#pragma once

namespace thalweg {

__extension__ using Int128 = __int128;
__extension__ using UInt128 = unsigned __int128;

__extension__ using Float128 = __float128;

}  // namespace thalweg
