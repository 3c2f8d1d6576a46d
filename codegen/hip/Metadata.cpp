//===- Metadata.cpp - What a code object says of its kernel ---------------===//

#include "codegen/hip/Metadata.h"

#include "ir/kernel/GpuArchitecture.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/BinaryFormat/MsgPackDocument.h"
#include "llvm/Object/ELF.h"
#include "llvm/Support/MathExtras.h"

#include <algorithm>

using namespace llvm;
using namespace primus;
using namespace primus::codegen;
using namespace primus::codegen::hip;
using ElfFile = object::ELFFile<object::ELF64LE>;

/// The MessagePack note of a code object.
static Expected<StringRef> findNote(const ElfFile &file) {
  auto headers = file.program_headers();
  if (!headers)
    return headers.takeError();
  for (const auto &header : *headers) {
    if (header.p_type != ELF::PT_NOTE)
      continue;
    Error error = Error::success();
    StringRef found;
    for (const auto &note : file.notes(header, error))
      if (note.getType() == ELF::NT_AMDGPU_METADATA)
        found = toStringRef(note.getDesc(/*Align=*/4));
    if (error)
      return std::move(error);
    if (!found.empty())
      return found;
  }
  return createStringError("the code object has no metadata");
}

Expected<KernelResources> hip::readMetadata(StringRef codeObject) {
  Expected<ElfFile> file = ElfFile::create(codeObject);
  if (!file)
    return file.takeError();
  Expected<StringRef> note = findNote(*file);
  if (!note)
    return note.takeError();
  msgpack::Document document;
  if (!document.readFromBlob(*note, /*Multi=*/false) || !document.getRoot().isMap())
    return createStringError("the code object's metadata is not readable");
  msgpack::DocNode &kernels = document.getRoot().getMap()["amdhsa.kernels"];
  if (!kernels.isArray() || kernels.getArray().size() != 1 || !kernels.getArray()[0].isMap())
    return createStringError("the code object does not hold one kernel");
  msgpack::MapDocNode &kernel = kernels.getArray()[0].getMap();
  auto number = [&](StringRef key) -> int64_t {
    auto found = kernel.find(key);
    return found != kernel.end() && found->second.getKind() == msgpack::Type::UInt ? int64_t(found->second.getUInt()) : 0;
  };
  KernelResources resources;
  resources.accumulatorRegisters = number(".agpr_count");
  resources.vectorRegisters = number(".vgpr_count") - resources.accumulatorRegisters;
  resources.scalarRegisters = number(".sgpr_count");
  resources.ldsBytes = number(".group_segment_fixed_size");
  resources.scratchBytes = number(".private_segment_fixed_size");
  resources.spills = number(".vgpr_spill_count") + number(".sgpr_spill_count");
  resources.workgroupSize = number(".max_flat_workgroup_size");
  resources.kernargBytes = number(".kernarg_segment_size");
  return resources;
}

int64_t hip::getWavesPerSimd(const KernelResources &resources, StringRef chip) {
  using Gpu = kernel::GpuArchitecture;
  int64_t registers =
      alignTo(std::max<int64_t>(resources.vectorRegisters + resources.accumulatorRegisters, 1), Gpu::registerUnit);
  int64_t waves = std::min(Gpu::wavesPerSimd, Gpu::registers / registers);
  int64_t wavesPerGroup = divideCeil(resources.workgroupSize, 64);
  // Workgroups that the compute unit holds; all waves of one are there at a time.
  int64_t groups = waves * Gpu::simds / wavesPerGroup;
  if (resources.ldsBytes > 0)
    groups = std::min(groups, Gpu::find(chip)->ldsBytes / resources.ldsBytes);
  return std::min(waves, int64_t(divideCeil(groups * wavesPerGroup, Gpu::simds)));
}
