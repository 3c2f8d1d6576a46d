//===- Linker.cpp - Object files to one shared object ---------------------===//

#include "codegen/common/Linker.h"

#include "lld/Common/Driver.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <mutex>

using namespace llvm;
using namespace primus;

LLD_HAS_DRIVER(elf)

static Error writeFile(StringRef path, StringRef contents) {
  std::error_code error;
  raw_fd_ostream file(path, error);
  if (!error) {
    file << contents;
    file.close();
    error = file.error();
    file.clear_error();
  }
  return error ? createStringError(error, "cannot write '%s': %s", path.str().c_str(), error.message().c_str())
               : Error::success();
}

Expected<std::string> codegen::linkSharedObject(ArrayRef<std::string> objects) {
  // LLD keeps global state.
  static std::mutex mutex;
  std::lock_guard lock(mutex);

  SmallString<128> folder;
  if (std::error_code error = sys::fs::createUniqueDirectory("primus-link", folder))
    return createStringError(error, "cannot make a temporary folder '%s': %s", folder.c_str(), error.message().c_str());
  scope_exit remove([&] { (void)sys::fs::remove_directories(folder); });
  auto pathOf = [&](const Twine &name) {
    SmallString<128> path(folder);
    sys::path::append(path, name);
    return std::string(path);
  };

  std::string output = pathOf("kernels.so");
  // Without symbol table, build id and sections that only a debugger wants; no constructor runs and nothing is resolved lazily.
  std::vector<std::string> arguments = {"ld.lld",         "-shared", "-s", "--build-id=none", "--hash-style=gnu", "-z", "defs",
                                        "-z",             "now",     "-z", "noexecstack",     "--threads=1",      "-o",
                                        output};
  for (auto [i, object] : enumerate(objects)) {
    arguments.push_back(pathOf(Twine(i) + ".o"));
    if (Error error = writeFile(arguments.back(), object))
      return error;
  }
  std::vector<const char *> pointers;
  for (const std::string &argument : arguments)
    pointers.push_back(argument.c_str());

  std::string messages;
  raw_string_ostream stream(messages);
  lld::Result result = lld::lldMain(pointers, stream, stream, {{lld::Gnu, &lld::elf::link}});
  if (result.retCode != 0)
    return createStringError("linking the kernels failed: %s", StringRef(messages).rtrim().str().c_str());
  ErrorOr<std::unique_ptr<MemoryBuffer>> linked = MemoryBuffer::getFile(output, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!linked)
    return createStringError(linked.getError(), "cannot read '%s': %s", output.c_str(), linked.getError().message().c_str());
  return (*linked)->getBuffer().str();
}
