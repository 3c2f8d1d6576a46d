//===- SafetensorsWriter.cpp - Writing safetensors files ------------------===//

#include "runtime/checkpoint/SafetensorsWriter.h"

#include "runtime/support/Checksum.h"
#include "runtime/support/WriteFile.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

using namespace primus::runtime;

Error SafetensorsWriter::fail(int code) const {
  return Error::failure(fmt::format("cannot write '{}': {}", path, std::strerror(code)));
}

Expected<SafetensorsWriter> SafetensorsWriter::create(const std::string &path,
                                                      const std::vector<TensorDescription> &tensors,
                                                      const TensorMetadata &metadata) {
  std::vector<StoredTensor> stored;
  for (const TensorDescription &tensor : tensors)
    stored.push_back({tensor});
  Expected<std::string> header = makeSafetensorsHeader(stored, metadata);
  if (!header)
    return Error::failure(fmt::format("'{}' {}", path, header.takeError().getMessage()));
  std::string temporary = fmt::format("{}.{}.tmp", path, getpid());
  int descriptor = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0)
    return Error::failure(fmt::format("cannot write '{}': {}", path, std::strerror(errno)));
  uint64_t fileBytes = header->size() + (stored.empty() ? 0 : stored.back().end);
  SafetensorsWriter writer(path, std::move(temporary), descriptor, fileBytes);
  if (Error error = writer.write(*header))
    return error;
  return writer;
}

SafetensorsWriter::SafetensorsWriter(SafetensorsWriter &&other) noexcept
    : path(std::move(other.path)), temporary(std::move(other.temporary)),
      descriptor(std::exchange(other.descriptor, -1)), fileBytes(other.fileBytes), written(other.written),
      checksum(other.checksum) {}

SafetensorsWriter::~SafetensorsWriter() {
  if (descriptor < 0)
    return;
  close(descriptor);
  unlink(temporary.c_str());
}

Error SafetensorsWriter::write(std::string_view bytes) {
  if (!writeAll(descriptor, bytes))
    return fail(errno);
  checksum = addToChecksum(checksum, bytes);
  written += bytes.size();
  return Error::success();
}

Error SafetensorsWriter::append(std::span<const std::byte> bytes) {
  if (bytes.size() > fileBytes - written)
    return Error::defect(fmt::format("'{}': more bytes than its tensors have", path));
  return write({reinterpret_cast<const char *>(bytes.data()), bytes.size()});
}

Error SafetensorsWriter::finish() {
  if (written != fileBytes)
    return Error::defect(fmt::format("'{}': {} bytes of its tensors are missing", path, fileBytes - written));
  if (fsync(descriptor) != 0)
    return fail(errno);
  // On a network file system, closing may be what reports a full disk.
  int closed = close(std::exchange(descriptor, -1));
  if (closed == 0 && rename(temporary.c_str(), path.c_str()) == 0)
    return Error::success();
  int code = errno;
  unlink(temporary.c_str());
  return fail(code);
}
