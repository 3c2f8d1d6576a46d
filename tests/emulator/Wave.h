//===- Wave.h - Registers of 64 lanes, and what is still on its way ------*- C++ -*-===//
//
// Every bit of every register has a shadow bit: set while nobody has given it a value (poison). Poison spreads through
// arithmetic and may be moved and stored in LDS; an address, a branch, the execution mask or a byte of a buffer that
// depends on it is an error.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "tests/emulator/Instruction.h"
#include "tests/emulator/Memory.h"

#include <deque>
#include <random>

namespace primus::emulator {

inline constexpr unsigned kLanes = 64;
using LaneMask = uint64_t;

struct alignas(64) VectorRegister {
  std::array<uint32_t, kLanes> lanes;
  std::array<uint32_t, kLanes> shadow; ///< zero for lanes that are not in `dirty`
  LaneMask dirty = ~LaneMask(0);
};

/// The LDS of one workgroup, and who used it since the last barrier.
struct Lds {
  static constexpr int16_t kNobody = -1, kSeveral = -2;
  /// Of one word: waves and bytes in the latest epoch that it was used in.
  struct Use {
    uint32_t writeEpoch = 0, readEpoch = 0;
    int16_t writer = kNobody, reader = kNobody;
    uint8_t written = 0, read = 0;
    bool arriving = false; ///< a load to LDS is on its way
  };
  explicit Lds(size_t bytes) : data(bytes, 0xff), poison(bytes, 0xff), uses((bytes + 3) / 4) {}
  std::vector<uint8_t> data, poison;
  std::vector<Use> uses;
  uint32_t epoch = 1; ///< barriers passed, plus one
};

/// A memory access that s_waitcnt has not waited for.
struct PendingAccess {
  Operand result;                 ///< registers that it will write
  bool isScalar = false;          ///< scalar loads return in any order
  std::vector<uint32_t> arriving; ///< words of LDS that it will write
  std::vector<uint32_t> touched;  ///< words of LDS that it reads or writes, where other waves could interfere
  bool isWrite = false;
};

struct Wave {
  Wave(unsigned vectorRegisters, Memory &memory, Lds &lds, std::mt19937_64 &random);

  // Registers
  std::vector<VectorRegister> vector;
  std::array<uint32_t, kScalarRegisters + 1> scalar{}, scalarShadow{};
  uint64_t pc = 0;
  unsigned number = 0; ///< in the workgroup
  Chip chip = Chip::Gfx942;
  std::array<uint32_t, 3> group{};

  LaneMask exec() const { return scalar[kExecLo] | uint64_t(scalar[kExecLo + 1]) << 32; }

  /// A scalar, constant or (for one lane) vector source, as `words` words.
  struct Value {
    uint64_t bits = 0, shadow = 0;
  };
  Value readScalar(const Operand &operand, unsigned words = 1) const;
  void writeScalar(const Operand &operand, Value value, unsigned words = 1);
  void writeScc(bool value, bool poisoned = false) {
    scalar[kScc] = value;
    scalarShadow[kScc] = poisoned;
  }
  /// Writes lanes of one vector register. `shadow` may be null when no lane in `dirty` is set.
  void writeVector(unsigned index, const uint32_t *lanes, LaneMask mask, LaneMask dirty = 0, const uint32_t *shadow = nullptr);

  // What is on its way
  std::deque<PendingAccess> vectorAccesses, lgkmAccesses;
  void addPending(std::deque<PendingAccess> &queue, PendingAccess access);
  void waitForVector(unsigned count);
  void waitForLgkm(unsigned count);
  /// After a barrier: accesses to LDS that are still on their way happen in the new epoch too.
  void restampPending();
  /// Fails if the instruction touches a register that a load will still write.
  void checkPending(const Instruction &instruction);

  // Progress
  bool isDone = false, isAtBarrier = false;
  bool isAlone = true; ///< in its workgroup
  std::string error;
  /// Records the first error.
  void fail(const llvm::Twine &message);

  Memory &memory;
  Lds &lds;
  std::mt19937_64 &random;

private:
  void complete(PendingAccess &access);
  std::vector<uint8_t> pendingVector;
  std::array<uint8_t, kScalarRegisters + 1> pendingScalar{};
};

/// "v3", "a3" or "s3" of an operand; for messages.
std::string getName(const Operand &operand);

} // namespace primus::emulator
