//===- ValidateCode.cpp - Is the code a whole shared object? --------------===//
//
// The dynamic linker trusts the file that it maps: a segment beyond the end of the file ends the process with SIGBUS.
//
//===----------------------------------------------------------------------===//

#include "runtime/executable/Validation.h"

#include <cstring>
#include <elf.h>
#include <fmt/format.h>

using namespace primus::runtime;

#if defined(__x86_64__)
static constexpr uint16_t hostMachine = EM_X86_64;
#elif defined(__aarch64__)
static constexpr uint16_t hostMachine = EM_AARCH64;
#else
#error "unknown processor architecture"
#endif

Error primus::runtime::validateCode(const std::string &code) {
  Elf64_Ehdr header;
  if (code.size() < sizeof(header))
    return Error::failure("the code is too short for a shared object");
  std::memcpy(&header, code.data(), sizeof(header));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_type != ET_DYN)
    return Error::failure("the code is not a 64-bit shared object");
  if (header.e_machine != hostMachine)
    return Error::failure(fmt::format("the code is for another processor architecture (ELF machine {})",
                                      header.e_machine));
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
