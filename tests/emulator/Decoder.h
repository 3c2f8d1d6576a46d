//===- Decoder.h - Machine code to instructions ------------------*- C++ -*-===//
//
// LLVM's disassembler names the instruction and its operands; modifiers are read from the fields of the encoding, as
// AMD's "Instruct Set Architecture" manuals of CDNA 3 and CDNA 4 lay them out (chapter "Microcode Formats").
//
//===----------------------------------------------------------------------===//

#pragma once

#include "tests/emulator/CodeObject.h"

#include <memory>

namespace primus::emulator {

class Decoder {
public:
  explicit Decoder(Chip chip);
  ~Decoder();

  /// Decodes one instruction of a kernel. An error names the text and the address of what is not supported.
  llvm::Expected<Instruction> decode(llvm::ArrayRef<uint8_t> bytes, uint64_t address, const KernelInfo &kernel) const;

private:
  struct Tools;
  std::unique_ptr<Tools> tools;
  OperationTable operations;
};

/// A decoder for the chip; decoders are made once.
const Decoder &getDecoder(Chip chip);

/// The instructions of one kernel, each decoded when it is first reached.
class Program {
public:
  Program(const CodeObject &object, const KernelInfo &kernel, uint64_t base);
  /// The instruction at an address (with the base added) if it is decoded already, else null.
  const Instruction *find(uint64_t address) const {
    uint64_t index = (address - start) / 4;
    return index < decoded.size() && address % 4 == 0 ? decoded[index].get() : nullptr;
  }
  llvm::Expected<const Instruction *> decodeAt(uint64_t address);

private:
  const KernelInfo &kernel;
  const Decoder &decoder;
  llvm::ArrayRef<uint8_t> code;
  uint64_t start; ///< address of the first byte of `code`
  std::vector<std::unique_ptr<Instruction>> decoded;
};

} // namespace primus::emulator
