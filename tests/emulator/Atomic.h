//===- Atomic.h - Read-modify-write functions ---------------------*- C++ -*-===//

#pragma once

#include "tests/emulator/FloatFormats.h"
#include "tests/emulator/Wave.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/Twine.h"

#include <algorithm>

namespace primus::emulator {

using LaneWords = std::array<std::array<uint32_t, kLanes>, 4>;

/// A value of one or two words in one lane.
template <typename T>
T getLane(const LaneWords &words, unsigned lane) {
  uint64_t bits = words[0][lane];
  if constexpr (sizeof(T) == 8)
    bits |= uint64_t(words[1][lane]) << 32;
  return T(bits);
}
template <typename T>
void setLane(LaneWords &words, unsigned lane, T value) {
  words[0][lane] = uint32_t(value);
  if constexpr (sizeof(T) == 8)
    words[1][lane] = uint64_t(value) >> 32;
}

inline uint32_t addFloats(uint32_t a, uint32_t b) { return std::bit_cast<uint32_t>(std::bit_cast<float>(a) + std::bit_cast<float>(b)); }
inline uint64_t addDoubles(uint64_t a, uint64_t b) {
  return std::bit_cast<uint64_t>(std::bit_cast<double>(a) + std::bit_cast<double>(b));
}
template <auto From, auto To>
uint32_t addPair(uint32_t a, uint32_t b) {
  return uint32_t(To(From(a) + From(b))) | uint32_t(To(From(a >> 16) + From(b >> 16))) << 16;
}

/// Names and functions (old value, operand) of integer operations of T, as `visitor.add<T, F>(name)`.
template <typename T, typename Visitor>
void visitIntegerAtomics(Visitor visitor, llvm::StringRef suffix, bool inLds) {
  using S = std::make_signed_t<T>;
  auto name = [&](llvm::StringRef lds, llvm::StringRef ldsType, llvm::StringRef global) {
    return inLds ? (lds + llvm::Twine("_") + ldsType + suffix).str() : (global + llvm::Twine(suffix)).str();
  };
  visitor.template add<T, [](T a, T b, T) { return T(a + b); }>(name("add", "u", "add"));
  visitor.template add<T, [](T a, T b, T) { return T(a - b); }>(name("sub", "u", "sub"));
  visitor.template add<T, [](T a, T b, T) { return T(std::min(S(a), S(b))); }>(name("min", "i", "smin"));
  visitor.template add<T, [](T a, T b, T) { return T(std::max(S(a), S(b))); }>(name("max", "i", "smax"));
  visitor.template add<T, [](T a, T b, T) { return std::min(a, b); }>(name("min", "u", "umin"));
  visitor.template add<T, [](T a, T b, T) { return std::max(a, b); }>(name("max", "u", "umax"));
  visitor.template add<T, [](T a, T b, T) { return T(a & b); }>(name("and", "b", "and"));
  visitor.template add<T, [](T a, T b, T) { return T(a | b); }>(name("or", "b", "or"));
  visitor.template add<T, [](T a, T b, T) { return T(a ^ b); }>(name("xor", "b", "xor"));
}

template <typename Visitor>
void addLdsAtomics(Visitor visitor) {
  visitIntegerAtomics<uint32_t>(visitor, "32", true);
  visitIntegerAtomics<uint64_t>(visitor, "64", true);
  visitor.template add<uint32_t, [](uint32_t a, uint32_t b, uint32_t) { return addFloats(a, b); }>("add_f32");
  visitor.template add<uint64_t, [](uint64_t a, uint64_t b, uint64_t) { return addDoubles(a, b); }>("add_f64");
  visitor.template add<uint32_t, [](uint32_t a, uint32_t b, uint32_t) { return addPair<fromHalf, toHalf>(a, b); }>("pk_add_f16");
  visitor.template add<uint32_t, [](uint32_t a, uint32_t b, uint32_t) { return addPair<fromBfloat, toBfloat>(a, b); }>("pk_add_bf16");
  visitor.template add<uint32_t, [](uint32_t, uint32_t b, uint32_t) { return b; }>("wrxchg_rtn_b32");
  visitor.template add<uint64_t, [](uint64_t, uint64_t b, uint64_t) { return b; }>("wrxchg_rtn_b64");
  // The comparand comes first, then the new value.
  visitor.template add<uint32_t, [](uint32_t a, uint32_t b, uint32_t c) { return a == b ? c : a; }>("cmpst_b32");
  visitor.template add<uint64_t, [](uint64_t a, uint64_t b, uint64_t c) { return a == b ? c : a; }>("cmpst_b64");
  visitor.template add<uint32_t, [](uint32_t a, uint32_t b, uint32_t c) { return a == b ? c : a; }>("cmpst_rtn_b32");
  visitor.template add<uint64_t, [](uint64_t a, uint64_t b, uint64_t c) { return a == b ? c : a; }>("cmpst_rtn_b64");
}

template <typename Visitor>
void addMemoryAtomics(Visitor visitor) {
  visitIntegerAtomics<uint32_t>(visitor, "", false);
  visitIntegerAtomics<uint64_t>(visitor, "_x2", false);
  visitor.template add<uint32_t, [](uint32_t a, uint32_t b, uint32_t) { return addFloats(a, b); }>("add_f32");
  visitor.template add<uint64_t, [](uint64_t a, uint64_t b, uint64_t) { return addDoubles(a, b); }>("add_f64");
  visitor.template add<uint32_t, [](uint32_t a, uint32_t b, uint32_t) { return addPair<fromHalf, toHalf>(a, b); }>("pk_add_f16");
  visitor.template add<uint32_t, [](uint32_t a, uint32_t b, uint32_t) { return addPair<fromBfloat, toBfloat>(a, b); }>("pk_add_bf16");
  visitor.template add<uint32_t, [](uint32_t, uint32_t b, uint32_t) { return b; }>("swap");
  visitor.template add<uint64_t, [](uint64_t, uint64_t b, uint64_t) { return b; }>("swap_x2");
  // The new value comes first, then the comparand.
  visitor.template add<uint32_t, [](uint32_t a, uint32_t b, uint32_t c) { return a == c ? b : a; }>("cmpswap");
  visitor.template add<uint64_t, [](uint64_t a, uint64_t b, uint64_t c) { return a == c ? b : a; }>("cmpswap_x2");
}

} // namespace primus::emulator
