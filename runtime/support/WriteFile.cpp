//===- WriteFile.cpp - Writing whole files --------------------------------===//

#include "runtime/support/WriteFile.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace primus::runtime;

bool primus::runtime::writeAll(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return false;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

Error primus::runtime::writeFileAtomically(const std::string &path, std::string_view bytes) {
  struct stat status;
  bool isSpecial = stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode);
  // A device or pipe is written in place. Otherwise, the process id keeps two writers of the same path apart.
  std::string temporary = isSpecial ? path : fmt::format("{}.{}.tmp", path, getpid());
  int descriptor = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0)
    return Error::failure(fmt::format("cannot write '{}': {}", path, std::strerror(errno)));
  bool written = writeAll(descriptor, bytes) && (isSpecial || fsync(descriptor) == 0);
  int writeError = errno;
  if (close(descriptor) != 0 && written) {
    written = false;
    writeError = errno;
  }
  if (written && (isSpecial || rename(temporary.c_str(), path.c_str()) == 0))
    return Error::success();
  if (written)
    writeError = errno;
  if (!isSpecial)
    unlink(temporary.c_str());
  return Error::failure(fmt::format("cannot write '{}': {}", path, std::strerror(writeError)));
}

Error primus::runtime::syncFolder(const std::string &path) {
  std::string folder = path.empty() ? "." : path;
  int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // Some file systems cannot sync folders, and say so.
  bool synced = descriptor >= 0 && (fsync(descriptor) == 0 || errno == EINVAL);
  int code = errno;
  if (descriptor >= 0)
    close(descriptor);
  return synced ? Error::success()
                : Error::failure(fmt::format("cannot write '{}': {}", folder, std::strerror(code)));
}
