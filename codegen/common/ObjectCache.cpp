//===- ObjectCache.cpp - Compiled kernels on disk -------------------------===//

#include "codegen/common/ObjectCache.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SHA256.h"
#include "llvm/Support/raw_ostream.h"

#include <dlfcn.h>

using namespace llvm;
using namespace primus::codegen;

static std::string digest(StringRef contents) {
  std::array<uint8_t, 32> hash = SHA256::hash(arrayRefFromStringRef(contents));
  return std::string(hash.begin(), hash.end());
}

/// Tells one build of the compiler from another: size and time of the library (or program) that this code is in.
static std::string getCompilerIdentity() {
  std::string identity = LLVM_VERSION_STRING;
  Dl_info info;
  sys::fs::file_status status;
  if (dladdr(reinterpret_cast<void *>(&getCompilerIdentity), &info) && info.dli_fname &&
      !sys::fs::status(info.dli_fname, status))
    identity += " " + utostr(status.getSize()) + " " +
                itostr(status.getLastModificationTime().time_since_epoch().count());
  return identity;
}

ObjectCache::ObjectCache(std::string folder) : folder(std::move(folder)) {
  if (!this->folder.empty())
    (void)sys::fs::create_directories(this->folder);
}

std::string ObjectCache::getKey(ArrayRef<StringRef> parts) {
  static const std::string identity = getCompilerIdentity();
  SHA256 hash;
  auto update = [&](StringRef part) {
    hash.update(utostr(part.size()) + ":");
    hash.update(part);
  };
  update(identity);
  for (StringRef part : parts)
    update(part);
  return toHex(hash.final(), /*LowerCase=*/true);
}

std::string ObjectCache::getPath(StringRef key) const {
  SmallString<128> path(folder);
  sys::path::append(path, key + ".o");
  return std::string(path);
}

std::optional<std::string> ObjectCache::find(StringRef key) const {
  if (folder.empty())
    return std::nullopt;
  auto file = MemoryBuffer::getFile(getPath(key), /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!file)
    return std::nullopt;
  StringRef contents = (*file)->getBuffer();
  if (contents.size() < 32 || digest(contents.drop_front(32)) != contents.take_front(32))
    return std::nullopt;
  return contents.drop_front(32).str();
}

void ObjectCache::insert(StringRef key, StringRef object) const {
  if (folder.empty())
    return;
  auto temporary = sys::fs::TempFile::create(getPath(key) + ".%%%%%%%%.tmp");
  if (!temporary)
    return consumeError(temporary.takeError());
  raw_fd_ostream stream(temporary->FD, /*shouldClose=*/false);
  stream << digest(object) << object;
  stream.flush();
  bool isWhole = !stream.has_error();
  stream.clear_error();
  consumeError(isWhole ? temporary->keep(getPath(key)) : temporary->discard());
}
