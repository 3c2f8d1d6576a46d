//===- MappedFile.h - A file in memory, read-only -------------------------===//

#ifndef PRIMUS_RUNTIME_SUPPORT_MAPPEDFILE_H
#define PRIMUS_RUNTIME_SUPPORT_MAPPEDFILE_H

#include "runtime/support/Error.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace primus::runtime {

/// A whole regular file, mapped read-only. Movable; the mapping lives as long as the object.
class MappedFile {
public:
  /// Maps `path`. Errors name the path and say what the system says.
  static Expected<MappedFile> open(const std::string &path);

  MappedFile(MappedFile &&other) noexcept;
  MappedFile &operator=(MappedFile &&other) noexcept;
  ~MappedFile();

  std::string_view getBytes() const { return {static_cast<const char *>(data), size}; }

  /// Gives the memory of a part of the bytes back to the system. They can be read again.
  void release(std::string_view part) const;

private:
  MappedFile(void *data, size_t size) : data(data), size(size) {}

  void *data;
  size_t size;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_SUPPORT_MAPPEDFILE_H
