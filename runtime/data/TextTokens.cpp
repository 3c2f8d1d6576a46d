//===- TextTokens.cpp - Text as bytes -------------------------------------===//

#include "runtime/data/TokenSource.h"
#include "runtime/support/MappedFile.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fmt/format.h>
#include <vector>

using namespace primus::runtime;
namespace fs = std::filesystem;

int64_t TokenSource::getSplitPosition(double fraction) const {
  return static_cast<int64_t>(std::nearbyint(fraction * static_cast<double>(getNumTokens())));
}

namespace {

class TextTokens final : public TokenSource {
public:
  explicit TextTokens(std::vector<MappedFile> newFiles) : files(std::move(newFiles)) {
    for (const MappedFile &file : files) {
      starts.push_back(numTokens);
      numTokens += static_cast<int64_t>(file.getBytes().size());
    }
  }

  int64_t getNumTokens() const override { return numTokens; }

  void read(int64_t begin, std::span<int32_t> out) const override {
    if (out.empty())
      return;
    // The file that holds the first token; no file is empty.
    size_t file = static_cast<size_t>(std::upper_bound(starts.begin(), starts.end(), begin) - starts.begin()) - 1;
    size_t offset = static_cast<size_t>(begin - starts[file]);
    for (int32_t &token : out) {
      if (offset == files[file].getBytes().size()) {
        ++file;
        offset = 0;
      }
      token = static_cast<unsigned char>(files[file].getBytes()[offset++]);
    }
  }

  bool isText() const override { return true; }

private:
  std::vector<MappedFile> files;
  std::vector<int64_t> starts;
  int64_t numTokens = 0;
};

} // namespace

static bool isHidden(const fs::path &path) { return path.filename().string().starts_with('.'); }

/// The regular files below a folder, sorted by path.
static Expected<std::vector<fs::path>> listFiles(const fs::path &folder) {
  std::vector<fs::path> files;
  std::error_code code;
  fs::recursive_directory_iterator entry(folder, code), end;
  for (; !code && entry != end; entry.increment(code)) {
    if (entry->is_symlink())
      continue;
    if (isHidden(entry->path()))
      entry.disable_recursion_pending();
    else if (entry->is_regular_file())
      files.push_back(entry->path());
  }
  if (code)
    return Error::failure(fmt::format("cannot list '{}': {}", folder.string(), code.message()));
  std::sort(files.begin(), files.end());
  return files;
}

/// The file itself, or what a folder holds.
static Expected<std::vector<fs::path>> resolve(const std::string &path) {
  std::error_code code;
  if (fs::is_directory(path, code))
    return listFiles(path);
  if (!fs::exists(path, code))
    return Error::configuration(fmt::format("there is no file or folder '{}'", path));
  return std::vector<fs::path>{path};
}

Expected<std::unique_ptr<TokenSource>> primus::runtime::openText(std::span<const std::string> paths) {
  std::vector<MappedFile> files;
  for (const std::string &path : paths) {
    Expected<std::vector<fs::path>> resolved = resolve(path);
    if (!resolved)
      return resolved.takeError();
    for (const fs::path &file : *resolved) {
      Expected<MappedFile> mapped = MappedFile::open(file.string());
      if (!mapped)
        return mapped.takeError();
      if (!mapped->getBytes().empty())
        files.push_back(std::move(*mapped));
    }
  }
  return std::unique_ptr<TokenSource>(std::make_unique<TextTokens>(std::move(files)));
}
