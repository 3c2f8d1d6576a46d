//===- CodeObject.cpp - Kernels of a linked AMDGPU code object ------------===//

#include "tests/emulator/CodeObject.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/BinaryFormat/MsgPackDocument.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/AMDHSAKernelDescriptor.h"

using namespace llvm;
using namespace primus::emulator;
using ElfFile = object::ELFFile<object::ELF64LE>;

static Expected<Chip> getChip(unsigned flags) {
  switch (flags & ELF::EF_AMDGPU_MACH) {
  case ELF::EF_AMDGPU_MACH_AMDGCN_GFX942:
    return Chip::Gfx942;
  case ELF::EF_AMDGPU_MACH_AMDGCN_GFX950:
    return Chip::Gfx950;
  default:
    return createStringError("the code object is for another chip than gfx942 and gfx950 (flags 0x%x)", flags);
  }
}

/// Arguments of all kernels, by the name of the kernel's descriptor, from the metadata note.
static Error readMetadata(StringRef note, StringMap<std::vector<ArgumentInfo>> &arguments) {
  msgpack::Document document;
  if (!document.readFromBlob(note, /*Multi=*/false) || !document.getRoot().isMap())
    return createStringError("the metadata note is not a MessagePack map");
  msgpack::MapDocNode &root = document.getRoot().getMap();
  auto kernels = root.find("amdhsa.kernels");
  if (kernels == root.end() || !kernels->second.isArray())
    return createStringError("the metadata lists no kernels");
  for (msgpack::DocNode &node : kernels->second.getArray()) {
    if (!node.isMap())
      return createStringError("the metadata of a kernel is not a map");
    msgpack::MapDocNode &kernel = node.getMap();
    std::vector<ArgumentInfo> &list = arguments[kernel[".symbol"].toString()];
    auto args = kernel.find(".args");
    if (args == kernel.end() || !args->second.isArray())
      continue;
    for (msgpack::DocNode &argument : args->second.getArray()) {
      auto &map = argument.getMap();
      list.push_back({uint32_t(map[".offset"].getUInt()), uint32_t(map[".size"].getUInt()),
                      map[".value_kind"].toString()});
    }
  }
  return Error::success();
}

static KernelInfo readDescriptor(StringRef name, const char *bytes, uint64_t address) {
  amdhsa::kernel_descriptor_t d;
  std::memcpy(&d, bytes, sizeof d);
  KernelInfo kernel;
  kernel.name = name;
  kernel.entry = address + d.kernel_code_entry_byte_offset;
  kernel.ldsBytes = d.group_segment_fixed_size;
  kernel.scratchBytes = d.private_segment_fixed_size;
  kernel.kernargBytes = d.kernarg_size;
  kernel.vectorRegisters = 8 * (1 + AMDHSA_BITS_GET(d.compute_pgm_rsrc1, amdhsa::COMPUTE_PGM_RSRC1_GRANULATED_WORKITEM_VGPR_COUNT));
  kernel.accumulatorOffset = 4 * (1 + AMDHSA_BITS_GET(d.compute_pgm_rsrc3, amdhsa::COMPUTE_PGM_RSRC3_GFX90A_ACCUM_OFFSET));
  kernel.accumulatorOffset = std::min(kernel.accumulatorOffset, kernel.vectorRegisters);
  kernel.rsrc1 = d.compute_pgm_rsrc1;
  kernel.rsrc2 = d.compute_pgm_rsrc2;
  kernel.properties = d.kernel_code_properties;
  kernel.kernargPreload = d.kernarg_preload;
  return kernel;
}

Expected<CodeObject> CodeObject::load(StringRef elf) {
  auto file = ElfFile::create(elf);
  if (!file)
    return file.takeError();
  const auto &header = file->getHeader();
  if (header.e_machine != ELF::EM_AMDGPU)
    return createStringError("not an AMDGPU code object (ELF machine %u)", unsigned(header.e_machine));
  CodeObject object;
  auto chip = ::getChip(header.e_flags);
  if (!chip)
    return chip.takeError();
  object.chip = *chip;

  auto programHeaders = file->program_headers();
  if (!programHeaders)
    return programHeaders.takeError();
  StringMap<std::vector<ArgumentInfo>> arguments;
  for (const auto &program : *programHeaders) {
    if (program.p_offset > elf.size() || program.p_filesz > elf.size() - program.p_offset)
      return createStringError("a segment lies behind the end of the file");
    if (program.p_type == ELF::PT_LOAD) {
      std::string bytes(elf.substr(program.p_offset, program.p_filesz));
      bytes.resize(program.p_memsz);
      object.segments.push_back({program.p_vaddr, std::move(bytes)});
    }
    if (program.p_type != ELF::PT_NOTE)
      continue;
    Error error = Error::success();
    for (const auto &note : file->notes(program, error))
      if (note.getType() == ELF::NT_AMDGPU_METADATA)
        if (Error bad = readMetadata(toStringRef(note.getDesc(4)), arguments)) {
          consumeError(std::move(error));
          return bad;
        }
    if (error)
      return error;
  }

  auto sections = file->sections();
  if (!sections)
    return sections.takeError();
  for (const auto &section : *sections) {
    if ((section.sh_type == ELF::SHT_RELA || section.sh_type == ELF::SHT_REL) && section.sh_size)
      return createStringError("code objects with dynamic relocations are not supported");
    if (section.sh_type != ELF::SHT_DYNSYM)
      continue;
    auto symbols = file->symbols(&section);
    auto strings = file->getStringTableForSymtab(section);
    if (!symbols)
      return symbols.takeError();
    if (!strings)
      return strings.takeError();
    for (const auto &symbol : *symbols) {
      auto name = symbol.getName(*strings);
      if (!name)
        return name.takeError();
      if (!name->ends_with(".kd"))
        continue;
      auto segment = find_if(object.segments, [&](const Segment &s) {
        return symbol.st_value >= s.address && symbol.st_value + sizeof(amdhsa::kernel_descriptor_t) <= s.address + s.bytes.size();
      });
      if (segment == object.segments.end())
        return createStringError("the descriptor of '%s' lies outside the code object", name->str().c_str());
      KernelInfo kernel =
          readDescriptor(name->drop_back(3), segment->bytes.data() + (symbol.st_value - segment->address), symbol.st_value);
      kernel.arguments = arguments.lookup(*name);
      object.kernels.push_back(std::move(kernel));
    }
  }
  if (object.kernels.empty())
    return createStringError("the code object has no kernels");
  return object;
}

const KernelInfo *CodeObject::findKernel(StringRef name) const {
  auto found = find_if(kernels, [&](const KernelInfo &kernel) { return kernel.name == name; });
  return found == kernels.end() ? nullptr : &*found;
}
