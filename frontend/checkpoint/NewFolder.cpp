//===- NewFolder.cpp - A folder that appears when it is complete ----------===//

#include "frontend/checkpoint/NewFolder.h"

#include "runtime/support/WriteFile.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <unistd.h>

namespace fs = std::filesystem;

namespace primus::checkpoint {

using runtime::Error;
using runtime::Expected;

Expected<NewFolder> NewFolder::create(const std::string &name, const char *option) {
  std::error_code code;
  fs::path path = fs::path(name).lexically_normal();
  if (!path.has_filename()) // "x/"
    path = path.parent_path();
  if (path.empty() || path.filename() == "." || path.filename() == "..")
    return Error::configuration(fmt::format("{}: '{}' is no name for a new folder", option, name));
  if (fs::exists(path, code) && !(fs::is_directory(path, code) && fs::is_empty(path, code)))
    return Error::configuration(fmt::format("{}: '{}' exists already; name a new folder", option, name));
  fs::path parent = path.has_parent_path() ? path.parent_path() : fs::path(".");
  fs::create_directories(parent, code);
  fs::path temporary = parent / fmt::format(".{}.{}.tmp", path.filename().string(), getpid());
  if (!fs::create_directory(temporary, code))
    return Error::failure(fmt::format("cannot write in '{}': {}", parent.string(), code.message()));
  return NewFolder(path, temporary);
}

NewFolder::~NewFolder() {
  std::error_code ignored;
  if (!temporary.empty())
    fs::remove_all(temporary, ignored);
}

Error NewFolder::finish(const std::string &part) {
  std::string complete = part.empty() ? temporary : *this / part;
  if (Error error = runtime::syncFolder(complete))
    return error;
  if (std::rename(complete.c_str(), path.c_str()) != 0)
    return Error::failure(fmt::format("cannot write '{}': {}", path, std::strerror(errno)));
  if (part.empty())
    temporary.clear();
  fs::path parent = fs::path(path).parent_path();
  return runtime::syncFolder(parent.empty() ? "." : parent.string());
}

Error copyFile(const std::string &from, const std::string &to) {
  std::error_code code;
  if (!fs::copy_file(from, to, code))
    return Error::failure(fmt::format("cannot copy '{}' to '{}': {}", from, to, code.message()));
  return Error::success();
}

} // namespace primus::checkpoint
