//===- OperationTable.cpp - All mnemonics ---------------------------------===//

#include "tests/emulator/Instruction.h"

using namespace primus::emulator;

OperationTable::OperationTable(Chip chip) : chip(chip) {
  addScalarOperations(*this);
  addScalarMemoryOperations(*this);
  addControlOperations(*this);
  addMoveOperations(*this);
  addFloatOperations(*this);
  addMathOperations(*this);
  addIntegerOperations(*this);
  addConvertOperations(*this);
  addCompareOperations(*this);
  addPackedOperations(*this);
  addMatrixOperations(*this);
  addLdsOperations(*this);
  addMemoryOperations(*this);
}

const Operation *OperationTable::find(llvm::StringRef mnemonic) const {
  auto found = operations.find(mnemonic);
  return found == operations.end() ? nullptr : &found->second;
}

llvm::StringRef primus::emulator::getName(InstructionClass kind) {
  switch (kind) {
  case InstructionClass::Scalar:
    return "scalar";
  case InstructionClass::ScalarMemory:
    return "scalar memory";
  case InstructionClass::Vector:
    return "vector";
  case InstructionClass::Matrix:
    return "matrix";
  case InstructionClass::Lds:
    return "lds";
  case InstructionClass::Memory:
    return "memory";
  case InstructionClass::Branch:
    return "branch";
  case InstructionClass::Other:
    return "other";
  }
  return "";
}
