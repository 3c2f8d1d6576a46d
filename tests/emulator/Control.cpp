//===- Control.cpp - Branches, barriers, waits ----------------------------===//

#include "tests/emulator/Wave.h"

#include "llvm/ADT/Twine.h"

using namespace primus::emulator;

namespace {
void jump(Wave &wave, const Instruction &instruction) { wave.pc += 4 * int64_t(int16_t(instruction.bits(0, 16))); }

template <bool Wanted>
void branchOnScc(Wave &wave, const Instruction &instruction) {
  if (wave.scalarShadow[kScc] & 1)
    return wave.fail("a branch depends on a value that was never written");
  if ((wave.scalar[kScc] & 1) == Wanted)
    jump(wave, instruction);
}

template <unsigned Register, bool WantsZero>
void branchOnMask(Wave &wave, const Instruction &instruction) {
  uint64_t bits = wave.scalar[Register] | uint64_t(wave.scalar[Register + 1]) << 32;
  uint64_t shadow = wave.scalarShadow[Register] | uint64_t(wave.scalarShadow[Register + 1]) << 32;
  if (shadow && !(bits & ~shadow))
    return wave.fail("a branch depends on a value that was never written");
  if ((bits == 0) == WantsZero)
    jump(wave, instruction);
}

/// s_waitcnt of these chips: vmcnt in bits 3:0 and 15:14, lgkmcnt in bits 11:8; expcnt counts nothing here.
void waitCount(Wave &wave, const Instruction &instruction) {
  wave.waitForVector(instruction.bits(0, 4) | instruction.bits(14, 2) << 4);
  unsigned lgkm = instruction.bits(8, 4);
  if (lgkm < 15)
    wave.waitForLgkm(lgkm);
}

void getPc(Wave &wave, const Instruction &instruction) { wave.writeScalar(instruction.results[0], {wave.pc, 0}, 2); }
void setPc(Wave &wave, const Instruction &instruction) {
  Wave::Value target = wave.readScalar(instruction.sources[0], 2);
  if (target.shadow)
    return wave.fail("a branch depends on a value that was never written");
  wave.pc = target.bits;
}
void swapPc(Wave &wave, const Instruction &instruction) {
  uint64_t next = wave.pc;
  setPc(wave, instruction);
  wave.writeScalar(instruction.results[0], {next, 0}, 2);
}

/// The mode register may not be changed: everything here rounds to nearest and keeps denormals.
void setMode(Wave &wave, const Instruction &) { wave.fail("the emulator does not know other modes of rounding and denormals"); }
} // namespace

void primus::emulator::addControlOperations(OperationTable &table) {
  auto add = [&](llvm::StringRef name, Handler handler, InstructionClass kind) { table.add(name, {handler, kind}); };
  using enum InstructionClass;
  add("s_branch", jump, Branch);
  add("s_cbranch_scc0", branchOnScc<false>, Branch);
  add("s_cbranch_scc1", branchOnScc<true>, Branch);
  add("s_cbranch_vccz", branchOnMask<kVccLo, true>, Branch);
  add("s_cbranch_vccnz", branchOnMask<kVccLo, false>, Branch);
  add("s_cbranch_execz", branchOnMask<kExecLo, true>, Branch);
  add("s_cbranch_execnz", branchOnMask<kExecLo, false>, Branch);
  add("s_getpc_b64", getPc, Branch);
  add("s_setpc_b64", setPc, Branch);
  add("s_swappc_b64", swapPc, Branch);
  add("s_endpgm", [](Wave &wave, const Instruction &) { wave.isDone = true; }, Branch);
  add("s_barrier", [](Wave &wave, const Instruction &) { wave.isAtBarrier = true; }, Other);
  add("s_waitcnt", waitCount, Other);
  add("s_setreg_imm32_b32", setMode, Other);
  add("s_setreg_b32", setMode, Other);
  add("s_trap", [](Wave &wave, const Instruction &) { wave.fail("the kernel traps"); }, Other);
  for (const char *name : {"s_nop", "s_sleep", "s_setprio", "s_icache_inv", "s_dcache_inv", "s_dcache_wb", "buffer_wbl2", "buffer_inv"})
    add(name, [](Wave &, const Instruction &) {}, Other);
}
