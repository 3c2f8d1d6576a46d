//===- CpuFeatures.cpp - What this machine's processor can do -------------===//

#include "runtime/executable/CpuFeatures.h"

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

using namespace primus;

#if defined(__x86_64__)

namespace {

enum Register { EAX, EBX, ECX, EDX };

/// Registers that the operating system has to save before a feature may be used.
enum class State { None, Avx, Avx512, Amx };

/// Where CPUID reports a feature.
struct Feature {
  std::string_view name;
  uint32_t leaf;
  uint32_t subleaf;
  Register reg;
  int bit;
  State state = State::None;
};

constexpr Feature features[] = {
    {"64bit", 0x80000001, 0, EDX, 29},
    {"adx", 7, 0, EBX, 19},
    {"aes", 1, 0, ECX, 25},
    {"amx-bf16", 7, 0, EDX, 22, State::Amx},
    {"amx-fp16", 7, 1, EAX, 21, State::Amx},
    {"amx-int8", 7, 0, EDX, 25, State::Amx},
    {"amx-tile", 7, 0, EDX, 24, State::Amx},
    {"avx", 1, 0, ECX, 28, State::Avx},
    {"avx2", 7, 0, EBX, 5, State::Avx},
    {"avx512bf16", 7, 1, EAX, 5, State::Avx512},
    {"avx512bitalg", 7, 0, ECX, 12, State::Avx512},
    {"avx512bw", 7, 0, EBX, 30, State::Avx512},
    {"avx512cd", 7, 0, EBX, 28, State::Avx512},
    {"avx512dq", 7, 0, EBX, 17, State::Avx512},
    {"avx512f", 7, 0, EBX, 16, State::Avx512},
    {"avx512fp16", 7, 0, EDX, 23, State::Avx512},
    {"avx512ifma", 7, 0, EBX, 21, State::Avx512},
    {"avx512vbmi", 7, 0, ECX, 1, State::Avx512},
    {"avx512vbmi2", 7, 0, ECX, 6, State::Avx512},
    {"avx512vl", 7, 0, EBX, 31, State::Avx512},
    {"avx512vnni", 7, 0, ECX, 11, State::Avx512},
    {"avx512vp2intersect", 7, 0, EDX, 8, State::Avx512},
    {"avx512vpopcntdq", 7, 0, ECX, 14, State::Avx512},
    {"avxifma", 7, 1, EAX, 23, State::Avx},
    {"avxneconvert", 7, 1, EDX, 5, State::Avx},
    {"avxvnni", 7, 1, EAX, 4, State::Avx},
    {"avxvnniint16", 7, 1, EDX, 10, State::Avx},
    {"avxvnniint8", 7, 1, EDX, 4, State::Avx},
    {"bmi", 7, 0, EBX, 3},
    {"bmi2", 7, 0, EBX, 8},
    {"cldemote", 7, 0, ECX, 25},
    {"clflushopt", 7, 0, EBX, 23},
    {"clwb", 7, 0, EBX, 24},
    {"clzero", 0x80000008, 0, EBX, 0},
    {"cmov", 1, 0, EDX, 15},
    {"crc32", 1, 0, ECX, 20},
    {"cx16", 1, 0, ECX, 13},
    {"cx8", 1, 0, EDX, 8},
    {"f16c", 1, 0, ECX, 29, State::Avx},
    {"fma", 1, 0, ECX, 12, State::Avx},
    {"fma4", 0x80000001, 0, ECX, 16, State::Avx},
    {"fsgsbase", 7, 0, EBX, 0},
    {"fxsr", 1, 0, EDX, 24},
    {"gfni", 7, 0, ECX, 8},
    {"invpcid", 7, 0, EBX, 10},
    {"lzcnt", 0x80000001, 0, ECX, 5},
    {"mmx", 1, 0, EDX, 23},
    {"movbe", 1, 0, ECX, 22},
    {"movdir64b", 7, 0, ECX, 28},
    {"movdiri", 7, 0, ECX, 27},
    {"mwaitx", 0x80000001, 0, ECX, 29},
    {"pclmul", 1, 0, ECX, 1},
    {"pku", 7, 0, ECX, 4},
    {"popcnt", 1, 0, ECX, 23},
    {"prefetchi", 7, 1, EDX, 14},
    {"prfchw", 0x80000001, 0, ECX, 8},
    {"rdpid", 7, 0, ECX, 22},
    {"rdpru", 0x80000008, 0, EBX, 4},
    {"rdrnd", 1, 0, ECX, 30},
    {"rdseed", 7, 0, EBX, 18},
    {"rtm", 7, 0, EBX, 11},
    {"sahf", 0x80000001, 0, ECX, 0},
    {"serialize", 7, 0, EDX, 14},
    {"sha", 7, 0, EBX, 29},
    {"shstk", 7, 0, ECX, 7},
    {"sse", 1, 0, EDX, 25},
    {"sse2", 1, 0, EDX, 26},
    {"sse3", 1, 0, ECX, 0},
    {"sse4.1", 1, 0, ECX, 19},
    {"sse4.2", 1, 0, ECX, 20},
    {"sse4a", 0x80000001, 0, ECX, 6},
    {"ssse3", 1, 0, ECX, 9},
    {"tsxldtrk", 7, 0, EDX, 16},
    {"uintr", 7, 0, EDX, 5},
    {"vaes", 7, 0, ECX, 9, State::Avx},
    {"vpclmulqdq", 7, 0, ECX, 10, State::Avx},
    {"waitpkg", 7, 0, ECX, 5},
    {"wbnoinvd", 0x80000008, 0, EBX, 9},
    {"xsave", 1, 0, ECX, 27},
    {"xsavec", 0xd, 1, EAX, 1, State::Avx},
    {"xsaveopt", 0xd, 1, EAX, 0, State::Avx},
    {"xsaves", 0xd, 1, EAX, 3, State::Avx},
};

bool hasBit(const Feature &feature) {
  uint32_t registers[4] = {};
  if (!__get_cpuid_count(feature.leaf, feature.subleaf, &registers[EAX], &registers[EBX], &registers[ECX],
                         &registers[EDX]))
    return false;
  return registers[feature.reg] >> feature.bit & 1;
}

/// Whether the operating system saves these registers, by the XCR0 register.
bool isSaved(State state) {
  if (state == State::None)
    return true;
  if (!hasBit({"osxsave", 1, 0, ECX, 27}))
    return false;
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  constexpr uint32_t avx = 0x6, avx512 = 0xe6, amx = 0x60000;
  uint32_t needed = state == State::Avx ? avx : state == State::Avx512 ? avx512 : amx;
  return (low & needed) == needed;
}

} // namespace

std::optional<bool> runtime::hasCpuFeature(std::string_view name) {
  for (const Feature &feature : features)
    if (feature.name == name)
      return hasBit(feature) && isSaved(feature.state);
  return std::nullopt;
}

#else

std::optional<bool> runtime::hasCpuFeature(std::string_view) { return std::nullopt; }

#endif
