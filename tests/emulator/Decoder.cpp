//===- Decoder.cpp - Machine code to instructions -------------------------===//

#include "tests/emulator/Decoder.h"
#include "tests/emulator/CrossLane.h"
#include "tests/emulator/Memory.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/MC/MCAsmInfo.h"
#include "llvm/MC/MCContext.h"
#include "llvm/MC/MCDisassembler/MCDisassembler.h"
#include "llvm/MC/MCInst.h"
#include "llvm/MC/MCInstPrinter.h"
#include "llvm/MC/MCInstrInfo.h"
#include "llvm/MC/MCRegisterInfo.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/TargetSelect.h"

#include <mutex>

using namespace llvm;
using namespace primus::emulator;
/// LLVM has another.
using Decoded = primus::emulator::Instruction;

struct Decoder::Tools {
  const Target *target;
  MCTargetOptions options;
  std::unique_ptr<MCRegisterInfo> registers;
  std::unique_ptr<MCAsmInfo> assembly;
  std::unique_ptr<MCInstrInfo> instructions;
  std::unique_ptr<MCSubtargetInfo> chip;
  std::unique_ptr<MCContext> context;
  std::unique_ptr<MCDisassembler> disassembler;
  std::unique_ptr<MCInstPrinter> printer;
  /// LLVM's tools are for one thread at a time.
  std::mutex mutex;
};

Decoder::Decoder(Chip chip) : tools(std::make_unique<Tools>()), operations(chip) {
  LLVMInitializeAMDGPUTargetInfo();
  LLVMInitializeAMDGPUTargetMC();
  LLVMInitializeAMDGPUDisassembler();
  Triple triple("amdgcn-amd-amdhsa");
  std::string error;
  Tools &t = *tools;
  t.target = TargetRegistry::lookupTarget(triple, error);
  t.registers.reset(t.target->createMCRegInfo(triple));
  t.assembly.reset(t.target->createMCAsmInfo(*t.registers, triple, t.options));
  t.instructions.reset(t.target->createMCInstrInfo());
  t.chip.reset(t.target->createMCSubtargetInfo(triple, chip == Chip::Gfx942 ? "gfx942" : "gfx950", ""));
  t.context = std::make_unique<MCContext>(triple, t.assembly.get(), t.registers.get(), t.chip.get());
  t.disassembler.reset(t.target->createMCDisassembler(*t.chip, *t.context));
  t.printer.reset(t.target->createMCInstPrinter(triple, 0, *t.assembly, *t.instructions, *t.registers));
}
Decoder::~Decoder() = default;

const Decoder &primus::emulator::getDecoder(Chip chip) {
  // Never destroyed: a GPU that was given up may still run a kernel when the process ends.
  static const Decoder &gfx942 = *new Decoder(Chip::Gfx942), &gfx950 = *new Decoder(Chip::Gfx950);
  return chip == Chip::Gfx942 ? gfx942 : gfx950;
}

/// The operand for a register like VGPR3_VGPR4, AGPR0, SGPR8, VCC or EXEC_LO; none for others.
static std::optional<Operand> getRegister(StringRef name, const KernelInfo &kernel, std::string &error) {
  auto [first, rest] = name.split('_');
  Operand operand;
  operand.words = 1 + name.count("_VGPR") + name.count("_AGPR") + name.count("_SGPR") + name.count("_TTMP");
  StringRef digits = first.ltrim("ABCDEFGHIJKLMNOPQRSTUVWXYZ");
  StringRef kind = first.drop_back(digits.size());
  unsigned number = 0;
  if (!digits.empty() && digits.getAsInteger(10, number))
    return std::nullopt;
  if (!digits.empty() && (kind == "VGPR" || kind == "AGPR")) {
    operand.kind = Operand::Vector;
    bool isAccumulator = kind == "AGPR";
    unsigned available = isAccumulator ? kernel.vectorRegisters - kernel.accumulatorOffset : kernel.accumulatorOffset;
    if (number + operand.words > available)
      error = ("the kernel has " + Twine(available) + (isAccumulator ? " accumulation" : " vector") + " registers").str();
    operand.index = number + (isAccumulator ? kernel.accumulatorOffset : 0);
    return operand;
  }
  operand.kind = Operand::Scalar;
  if (kind == "SGPR" && !digits.empty()) {
    operand.index = number;
    return operand;
  }
  auto pair = [&](StringRef whole, unsigned index) {
    if (!name.consume_front(whole))
      return false;
    operand.index = index + name.starts_with("_HI");
    operand.words = name.starts_with("_LO") || name.starts_with("_HI") ? 1 : 2;
    return true;
  };
  if (pair("VCC", kVccLo) || pair("EXEC", kExecLo))
    return operand;
  if (name.starts_with("M0")) {
    operand.index = kM0;
    return operand;
  }
  if (name.starts_with("SRC_SCC")) {
    operand.index = kScc;
    return operand;
  }
  bool isShared = name.starts_with("SRC_SHARED_BASE");
  if (isShared || name.starts_with("SRC_PRIVATE_BASE")) {
    operand.kind = Operand::Constant;
    operand.words = 2;
    operand.constant = isShared ? kSharedAperture : kPrivateAperture;
    return operand;
  }
  return std::nullopt;
}

/// Modifiers of vector instructions, by the format of the encoding.
static void readModifiers(Decoded &i) {
  uint32_t word = i.encoding, second = i.encoding >> 32;
  if (!(word >> 31)) { // VOP1, VOP2, VOPC
    unsigned source = word & 0x1ff;
    if (source == 250) {
      i.isDpp = true;
      i.dpp = {uint16_t(i.bits(40, 9)), uint8_t(i.bits(60, 4)), uint8_t(i.bits(56, 4)), bool(i.bits(51, 1))};
      i.modifiers.negate = i.bits(52, 1) | i.bits(54, 1) << 1;
      i.modifiers.absolute = i.bits(53, 1) | i.bits(55, 1) << 1;
    } else if (source == 249) {
      i.isSdwa = true;
      i.sdwa.sources = {uint8_t(i.bits(48, 3)), uint8_t(i.bits(56, 3))};
      i.sdwa.signExtend = i.bits(51, 1) | i.bits(59, 1) << 1;
      i.modifiers.negate = i.bits(52, 1) | i.bits(60, 1) << 1;
      i.modifiers.absolute = i.bits(53, 1) | i.bits(61, 1) << 1;
      if (word >> 25 != 0x3e) { // not a comparison
        i.sdwa.result = i.bits(40, 3);
        i.sdwa.unused = i.bits(43, 2);
        i.modifiers.clamp = i.bits(45, 1);
        i.modifiers.outputScale = i.bits(46, 2);
      }
    }
    return;
  }
  if (word >> 23 == 0x1a7) { // VOP3P
    i.isPacked = true;
    i.modifiers.negate = second >> 29;
    i.modifiers.negateHigh = i.bits(8, 3);
    i.modifiers.select = i.bits(11, 3);
    i.modifiers.selectHigh = i.bits(59, 2) | i.bits(14, 1) << 2;
    i.modifiers.clamp = i.bits(15, 1);
  } else if (word >> 26 == 0x34) { // VOP3
    i.isVop3 = true;
    i.modifiers.negate = second >> 29;
    i.modifiers.outputScale = i.bits(59, 2);
    i.modifiers.clamp = i.bits(15, 1);
    if (i.definitions < 2) {
      i.modifiers.absolute = i.bits(8, 3);
      i.modifiers.select = i.bits(11, 4);
    }
  }
}

static Operand vcc() {
  Operand operand;
  operand.kind = Operand::Scalar;
  operand.index = kVccLo;
  operand.words = 2;
  return operand;
}

/// Operands that the assembler's syntax leaves out, or that LLVM ties to a result.
static void addImplicitOperands(Decoded &i) {
  StringRef name = i.mnemonic;
  if (name.starts_with("v_cmp") && i.definitions == 0)
    i.results[i.definitions++] = vcc();
  if (name.contains("_co_u32") && i.definitions == 1)
    i.results[i.definitions++] = vcc();
  bool readsCarry = name == "v_cndmask_b32" || name.contains("addc_co") || name.contains("subb_co") || name.contains("subbrev_co");
  if (readsCarry && i.uses == 2)
    i.sources[i.uses++] = vcc();
  if (name.starts_with("v_div_fmas"))
    i.sources[i.uses++] = vcc();
  if (name.starts_with("v_fmac") || name.starts_with("v_pk_fmac") || name.starts_with("v_dot2c") ||
      name.starts_with("v_dot4c") || name.starts_with("v_dot8c"))
    i.sources[i.uses++] = i.results[0];
  if (name.starts_with("v_fmaak") || name.starts_with("v_fmamk")) {
    Operand literal;
    literal.kind = Operand::Constant;
    literal.constant = i.bits(32, 32);
    i.sources[i.uses++] = literal;
    if (name.starts_with("v_fmamk"))
      std::swap(i.sources[1], i.sources[2]);
  }
}

Expected<Decoded> Decoder::decode(ArrayRef<uint8_t> bytes, uint64_t address, const KernelInfo &kernel) const {
  std::lock_guard lock(tools->mutex);
  auto refuse = [&](const Twine &text, const Twine &reason) {
    return createStringError("%s: instruction at 0x%llx '%s': %s", kernel.name.c_str(),
                             static_cast<unsigned long long>(address), text.str().c_str(), reason.str().c_str());
  };
  MCInst inst;
  uint64_t size = 0;
  if (tools->disassembler->getInstruction(inst, size, bytes, address, nulls()) != MCDisassembler::Success)
    return refuse("0x" + utohexstr(bytes.size() >= 4 ? support::endian::read32le(bytes.data()) : 0), "not an instruction of this chip");
  Decoded i;
  i.address = address;
  i.bytes = size;
  uint8_t padded[16] = {};
  std::copy_n(bytes.data(), std::min<uint64_t>(size, 16), padded);
  i.encoding = support::endian::read64le(padded);
  i.second = support::endian::read64le(padded + 8);
  raw_string_ostream stream(i.text);
  tools->printer->printInst(&inst, address, "", *tools->chip, stream);
  i.text = StringRef(i.text).trim().str();
  llvm::replace(i.text, '\t', ' ');

  StringRef name = StringRef(i.text).take_until([](char c) { return c == ' '; });
  for (StringRef suffix : {"_e32", "_e64", "_sdwa", "_dpp"})
    if (name.consume_back(suffix))
      break;
  i.mnemonic = name.str();
  const Operation *operation = operations.find(name);
  if (!operation)
    return refuse(i.text, "the emulator does not know '" + name + "'");
  i.execute = operation->execute;
  i.kind = operation->kind;
  i.matrix = operation->matrix;

  const MCInstrDesc &description = tools->instructions->get(inst.getOpcode());
  std::string error;
  for (auto [index, operand] : enumerate(inst)) {
    const MCOperandInfo &info = description.operands()[std::min<size_t>(index, description.getNumOperands() - 1)];
    if (index >= description.getNumDefs() && description.getOperandConstraint(index, MCOI::TIED_TO) >= 0)
      continue;
    Operand read;
    if (operand.isReg()) {
      if (!operand.getReg())
        continue;
      auto found = getRegister(tools->registers->getName(operand.getReg()), kernel, error);
      if (!found)
        return refuse(i.text, StringRef("the emulator has no register ") + tools->registers->getName(operand.getReg()));
      read = *found;
    } else if (operand.isImm() && info.RegClass >= 0) {
      read.kind = Operand::Constant;
      read.constant = operand.getImm();
    } else {
      continue; // modifiers and offsets: from the encoding
    }
    if (index < description.getNumDefs()) {
      i.results[i.definitions++] = read;
    } else {
      if (i.uses == i.sources.size())
        return refuse(i.text, "too many operands");
      i.sources[i.uses++] = read;
    }
  }
  if (!error.empty())
    return refuse(i.text, error);
  if (name.starts_with("v_"))
    readModifiers(i);
  if (i.isDpp && !isKnownDpp(i.dpp.control))
    return refuse(i.text, "the emulator does not know this DPP control");
  addImplicitOperands(i);
  if (!operation->hasFloatModifiers && (i.modifiers.clamp || i.modifiers.outputScale))
    return refuse(i.text, "the emulator does not know clamp or output scale here");
  return i;
}

Program::Program(const CodeObject &object, const KernelInfo &kernel, uint64_t base)
    : kernel(kernel), decoder(getDecoder(object.getChip())), start(0) {
  for (const Segment &segment : object.getSegments())
    if (kernel.entry >= segment.address && kernel.entry < segment.address + segment.bytes.size()) {
      code = arrayRefFromStringRef(segment.bytes);
      start = base + segment.address;
    }
  decoded.resize(code.size() / 4);
}

Expected<const Decoded *> Program::decodeAt(uint64_t address) {
  if (address < start || address - start >= code.size() || address % 4)
    return createStringError("%s: the program counter 0x%llx lies outside the code", kernel.name.c_str(),
                             static_cast<unsigned long long>(address));
  auto instruction = decoder.decode(code.drop_front(address - start), address, kernel);
  if (!instruction)
    return instruction.takeError();
  auto &slot = decoded[(address - start) / 4];
  slot = std::make_unique<Decoded>(std::move(*instruction));
  return slot.get();
}
