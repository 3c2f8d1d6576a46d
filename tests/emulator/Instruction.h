//===- Instruction.h - One decoded AMDGPU instruction ------------*- C++ -*-===//

#pragma once

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"

#include <array>
#include <cstdint>
#include <string>

namespace primus::emulator {

struct Instruction;
struct Wave;

/// Executes an instruction on a wave whose program counter is already behind it.
using Handler = void (*)(Wave &, const Instruction &);

enum class InstructionClass : uint8_t { Scalar, ScalarMemory, Vector, Matrix, Lds, Memory, Branch, Other };
inline constexpr unsigned kInstructionClasses = 8;
llvm::StringRef getName(InstructionClass kind);

/// A chip whose code is executed. Both have waves of 64 lanes.
enum class Chip : uint8_t { Gfx942, Gfx950 };

/// Scalar registers by their number in the encoding.
inline constexpr unsigned kVccLo = 106, kM0 = 124, kExecLo = 126, kScalarRegisters = 128;
/// Beside them: the condition code of scalar instructions, as a source of one bit.
inline constexpr unsigned kScc = 128;

struct Operand {
  enum Kind : uint8_t { None, Vector, Scalar, Constant };
  Kind kind = None;
  uint8_t words = 1;      ///< registers of 32 bits
  uint16_t index = 0;     ///< of the first one; accumulators follow the ordinary vector registers of the wave
  uint64_t constant = 0;  ///< as wide as the instruction reads it
};

/// How the encoding modifies operands: bit i is about source i.
struct Modifiers {
  uint8_t negate = 0, absolute = 0; ///< floats; in packed instructions: `negate` of low halves
  uint8_t negateHigh = 0;           ///< packed instructions only
  uint8_t select = 0;               ///< op_sel; bit 3: the high half of a 16-bit result
  uint8_t selectHigh = 7;           ///< op_sel_hi of packed instructions
  uint8_t outputScale = 0;          ///< 1: twice, 2: four times, 3: half
  bool clamp = false;
};

/// The second word of an instruction whose first source is swizzled between lanes.
struct DppControl {
  uint16_t control;
  uint8_t rowMask, bankMask;
  bool boundControl;
};

/// The second word of an instruction that selects bytes and halves.
struct SdwaControl {
  std::array<uint8_t, 2> sources; ///< 0 to 3: byte; 4, 5: half; 6: all
  uint8_t result = 6;
  uint8_t unused = 0; ///< bits beside the result: 0: zero, 1: sign, 2: kept
  uint8_t signExtend = 0;
};

struct MatrixShape;

struct Instruction {
  uint64_t address = 0;
  uint64_t encoding = 0; ///< the first two words
  uint64_t second = 0;   ///< the next two of instructions with four
  uint8_t bytes = 4;
  InstructionClass kind = InstructionClass::Other;
  Handler execute = nullptr;
  uint8_t definitions = 0, uses = 0;
  std::array<Operand, 2> results;
  std::array<Operand, 6> sources;
  Modifiers modifiers;
  bool isPacked = false, isDpp = false, isSdwa = false, isVop3 = false;
  DppControl dpp{};
  SdwaControl sdwa{};
  const MatrixShape *matrix = nullptr;
  std::string mnemonic; ///< without the suffix of the encoding
  std::string text;     ///< as LLVM prints it

  /// Bits `first` to `first + count - 1` of the encoding.
  uint64_t bits(unsigned first, unsigned count) const { return (encoding >> first) & ((uint64_t(1) << count) - 1); }
};

/// What a mnemonic does.
struct Operation {
  Handler execute;
  InstructionClass kind;
  bool hasFloatModifiers = true; ///< clamp and output scale mean what they mean for floats
  const MatrixShape *matrix = nullptr;
};

/// Mnemonics without suffixes of encodings (_e32, _e64, _dpp, _sdwa). One function per family adds its own.
class OperationTable {
public:
  explicit OperationTable(Chip chip);
  const Operation *find(llvm::StringRef mnemonic) const;
  void add(llvm::StringRef mnemonic, Operation operation) { operations[mnemonic] = operation; }
  Chip chip;

private:
  llvm::StringMap<Operation> operations;
};

void addScalarOperations(OperationTable &table);
void addScalarMemoryOperations(OperationTable &table);
void addControlOperations(OperationTable &table);
void addMoveOperations(OperationTable &table);
void addFloatOperations(OperationTable &table);
void addMathOperations(OperationTable &table);
void addIntegerOperations(OperationTable &table);
void addConvertOperations(OperationTable &table);
void addCompareOperations(OperationTable &table);
void addPackedOperations(OperationTable &table);
void addMatrixOperations(OperationTable &table);
void addLdsOperations(OperationTable &table);
void addMemoryOperations(OperationTable &table);

} // namespace primus::emulator
