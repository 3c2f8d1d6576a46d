//===- NewFolder.h - A folder that appears when it is complete ---*- C++ -*-===//

#pragma once

#include "runtime/support/Error.h"

#include <string>

namespace primus::checkpoint {

/// A folder under a temporary name beside its own. It goes if it is never finished.
class NewFolder {
public:
  /// `path` must not exist, or be an empty folder. `option` is how messages call it.
  static runtime::Expected<NewFolder> create(const std::string &path, const char *option);

  NewFolder(NewFolder &&other) noexcept : path(std::move(other.path)), temporary(std::exchange(other.temporary, "")) {}
  NewFolder &operator=(NewFolder &&other) = delete;
  ~NewFolder();

  /// A path in the folder, as long as it has its temporary name.
  std::string operator/(const std::string &name) const { return temporary + "/" + name; }
  const std::string &getTemporaryPath() const { return temporary; }

  /// Gives the folder, or with `part` this one in it alone, its own name.
  runtime::Error finish(const std::string &part = {});

private:
  NewFolder(std::string path, std::string temporary) : path(std::move(path)), temporary(std::move(temporary)) {}

  std::string path, temporary;
};

/// Copies a file, with an error that names both.
runtime::Error copyFile(const std::string &from, const std::string &to);

} // namespace primus::checkpoint
