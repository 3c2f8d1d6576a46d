//===- ValidateCode.cpp - Is the code whole, and for whom is it? ----------===//
//
// The dynamic linker trusts the file that it maps: a segment beyond the end of the file ends the process with SIGBUS. A
// GPU's driver is not asked either.
//
//===----------------------------------------------------------------------===//

#include "runtime/executable/Types.h"
#include "runtime/executable/Validation.h"

#include <algorithm>
#include <cstring>
#include <elf.h>
#include <fmt/format.h>

using namespace primus;
using namespace primus::runtime;
using executable::Executable;

#if defined(__x86_64__)
static constexpr uint16_t hostMachine = EM_X86_64;
#elif defined(__aarch64__)
static constexpr uint16_t hostMachine = EM_AARCH64;
#else
#error "unknown processor architecture"
#endif

/// ELF's number of AMD GPUs (elf.h of older C libraries lacks it).
static constexpr uint16_t amdgpuMachine = 224;

namespace {

/// An architecture of GPUs. Its number is in the ELF flags' lowest byte (LLVM's AMDGPUUsage, "ELF Header", e_flags).
struct GpuArchitecture {
  std::string_view name;
  uint32_t flags;
  int64_t ldsBytes;
};

} // namespace

static constexpr GpuArchitecture gpuArchitectures[] = {
    {"gfx942", 0x4c, 64 << 10},
    {"gfx950", 0x4f, 160 << 10},
};

static const GpuArchitecture *findGpu(std::string_view name) {
  auto *found = std::find_if(std::begin(gpuArchitectures), std::end(gpuArchitectures),
                             [&](const GpuArchitecture &gpu) { return gpu.name == name; });
  return found == std::end(gpuArchitectures) ? nullptr : found;
}

bool runtime::isGpuTarget(std::string_view target) { return findGpu(target); }

/// Checks what holds for shared objects of any machine; `machine` and `flags` receive what the header says.
static Error validateSharedObject(const std::string &code, uint16_t &machine, uint32_t &flags) {
  Elf64_Ehdr header;
  if (code.size() < sizeof(header))
    return Error::failure("the code is too short for a shared object");
  std::memcpy(&header, code.data(), sizeof(header));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_type != ET_DYN)
    return Error::failure("the code is not a 64-bit shared object");
  machine = header.e_machine;
  flags = header.e_flags;
  uint64_t tableBytes = uint64_t(header.e_phnum) * sizeof(Elf64_Phdr);
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phoff > code.size() ||
      tableBytes > code.size() - header.e_phoff)
    return Error::failure("the code's program headers lie outside it");
  for (uint16_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    std::memcpy(&segment, code.data() + header.e_phoff + i * sizeof(segment), sizeof(segment));
    if (segment.p_offset > code.size() || segment.p_filesz > code.size() - segment.p_offset)
      return Error::failure(fmt::format("segment {} of the code lies outside it", i));
  }
  return Error::success();
}

static Error validateCpuCode(const Executable &executable) {
  if (!executable.code_objects().empty())
    return Error::failure("GPU code in an executable for the CPU");
  if (executable.kernels_size() == 0 && executable.code().empty())
    return Error::success();
  uint16_t machine = 0;
  uint32_t flags = 0;
  if (Error error = validateSharedObject(executable.code(), machine, flags))
    return error;
  if (machine != hostMachine)
    return Error::failure(fmt::format("the code is for another processor architecture (ELF machine {})", machine));
  return Error::success();
}

static Error validateLaunch(const Executable &executable, const executable::Kernel &kernel, const GpuArchitecture &gpu) {
  if (kernel.code_object() < 0 || kernel.code_object() >= executable.code_objects_size())
    return Error::failure(fmt::format("code object {} of {}", kernel.code_object(), executable.code_objects_size()));
  // Lanes come in waves of 64, at most 16 of them in a workgroup.
  if (kernel.block_size() != 3 || kernel.block(0) < 64 || kernel.block(0) > 1024 || kernel.block(0) % 64 != 0 ||
      kernel.block(1) != 1 || kernel.block(2) != 1)
    return Error::failure(fmt::format("a block of {} is not 1 to 16 waves of 64 lanes",
                                      fmt::join(kernel.block(), " x ")));
  // The number of lanes of a launch has 32 bits.
  if (*getElementCount(kernel.grid()) > int64_t(UINT32_MAX) / kernel.block(0))
    return Error::failure("the grid is too large for a launch");
  if (kernel.lds_bytes() < 0 || kernel.lds_bytes() > gpu.ldsBytes)
    return Error::failure(fmt::format("{} bytes of LDS, {} has {}", kernel.lds_bytes(), gpu.name, gpu.ldsBytes));
  return Error::success();
}

static Error validateGpuCode(const Executable &executable, const GpuArchitecture &gpu) {
  if (!executable.code().empty())
    return Error::failure(fmt::format("CPU code in an executable for {}", gpu.name));
  for (int i = 0; i < executable.code_objects_size(); ++i) {
    uint16_t machine = 0;
    uint32_t flags = 0;
    if (Error error = validateSharedObject(executable.code_objects(i), machine, flags))
      return Error::failure(fmt::format("code_objects[{}]: {}", i, error.getMessage()));
    if (machine != amdgpuMachine || (flags & 0xff) != gpu.flags)
      return Error::failure(fmt::format("code_objects[{}]: the code is not for {} (ELF machine {}, flags 0x{:x})", i,
                                        gpu.name, machine, flags));
  }
  for (int i = 0; i < executable.kernels_size(); ++i)
    if (Error error = validateLaunch(executable, executable.kernels(i), gpu))
      return Error::failure(fmt::format("kernels[{}] '{}': {}", i, executable.kernels(i).name(), error.getMessage()));
  return Error::success();
}

Error runtime::validateCode(const Executable &executable) {
  if (const GpuArchitecture *gpu = findGpu(executable.target()))
    return validateGpuCode(executable, *gpu);
  return validateCpuCode(executable);
}
