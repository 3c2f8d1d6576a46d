//===- MappedFile.cpp - A file in memory, read-only -----------------------===//

#include "runtime/support/MappedFile.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace primus::runtime;

Expected<MappedFile> MappedFile::open(const std::string &path) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return Error::failure(fmt::format("cannot open '{}': {}", path, std::strerror(errno)));
  struct stat status;
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(descriptor);
    return Error::failure(fmt::format("'{}' is not a regular file", path));
  }
  size_t size = static_cast<size_t>(status.st_size);
  // An empty file cannot be mapped and needs no mapping.
  void *data = size == 0 ? nullptr : mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  int mapError = errno;
  close(descriptor);
  if (data == MAP_FAILED)
    return Error::failure(fmt::format("cannot map '{}': {}", path, std::strerror(mapError)));
  return MappedFile(data, size);
}

MappedFile::MappedFile(MappedFile &&other) noexcept
    : data(std::exchange(other.data, nullptr)), size(std::exchange(other.size, 0)) {}

MappedFile &MappedFile::operator=(MappedFile &&other) noexcept {
  std::swap(data, other.data);
  std::swap(size, other.size);
  return *this;
}

MappedFile::~MappedFile() {
  if (data)
    munmap(data, size);
}

void MappedFile::release(std::string_view part) const {
  if (part.empty())
    return;
  auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  uintptr_t begin = reinterpret_cast<uintptr_t>(part.data()) / page * page;
  // Without effect on the bytes, so that a failure does not matter.
  madvise(reinterpret_cast<void *>(begin), reinterpret_cast<uintptr_t>(part.data()) + part.size() - begin,
          MADV_DONTNEED);
}
