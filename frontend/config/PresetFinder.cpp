//===- PresetFinder.cpp - Where model and module presets lie --------------===//

#include "frontend/config/PresetFinder.h"

#include "frontend/config/Suggestion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <dlfcn.h>

#include <algorithm>
#include <filesystem>

namespace fs = std::filesystem;

namespace primus::config {

/// Folders above the library are searched, so that a build tree and an installation need no path compiled in.
static std::string findOwnConfigFolder() {
  Dl_info info;
  if (!dladdr(reinterpret_cast<const void *>(&findOwnConfigFolder), &info) || !info.dli_fname)
    return {};
  std::error_code error;
  fs::path folder = fs::canonical(info.dli_fname, error).parent_path();
  for (int level = 0; level < 5 && folder.has_relative_path(); ++level, folder = folder.parent_path())
    for (fs::path candidate : {folder / "share" / "primus" / "configs", folder / "configs"})
      if (fs::is_directory(candidate / "modules", error))
        return candidate.string();
  return {};
}

std::string ownConfigFolder() {
  static const std::string folder = findOwnConfigFolder();
  // Messages read better with a path below the current folder.
  std::error_code error;
  fs::path relative = folder.empty() ? fs::path() : fs::proximate(folder, error);
  return relative.empty() || relative.is_absolute() || *relative.begin() == ".." ? folder : relative.string();
}

PresetFinder::PresetFinder(std::vector<std::string> configPaths) : searched(std::move(configPaths)) {
  if (std::string own = ownConfigFolder(); !own.empty())
    searched.push_back(own);
}

static std::vector<std::string> listFolder(const fs::path &folder, bool folders) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (it->is_directory(error) == folders)
      names.push_back(folders ? it->path().filename().string() : it->path().stem().string());
  return names;
}

std::vector<std::string> PresetFinder::presetNames(const std::string &kind, const std::string &framework) const {
  std::vector<std::string> names;
  for (const std::string &root : searched)
    for (std::string &name : listFolder(fs::path(root) / kind / framework, /*folders=*/false))
      names.push_back(std::move(name));
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> PresetFinder::frameworks() const {
  std::vector<std::string> names;
  for (const std::string &root : searched)
    for (std::string &name : listFolder(fs::path(root) / "modules", /*folders=*/true))
      names.push_back(std::move(name));
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::optional<std::string> PresetFinder::find(const std::string &kind, const std::string &framework,
                                              const std::string &name, const Location &at,
                                              Diagnostics &diagnostics) const {
  fs::path relative = fs::path(name).lexically_normal();
  if (relative.is_absolute() || relative.string().starts_with("..")) {
    diagnostics.error(at, fmt::format("preset '{}' leaves the preset folders", name),
                      fmt::format("name a file below {}/{}, and add folders with --config-path", kind, framework));
    return std::nullopt;
  }
  if (relative.extension() != ".yaml")
    relative += ".yaml";
  std::error_code error;
  for (const std::string &root : searched) {
    fs::path path = fs::path(root) / kind / framework / relative;
    if (fs::is_regular_file(path, error))
      return path.string();
  }

  std::vector<std::string> known = frameworks();
  if (kind == "modules" && std::find(known.begin(), known.end(), framework) == known.end()) {
    diagnostics.error(
        at, fmt::format("there are no presets for framework '{}' in {}", framework, fmt::join(searched, ", ")),
        didYouMean(framework, known, fmt::format("known: {}", fmt::join(known, ", "))));
    return std::nullopt;
  }
  std::string wanted = relative.replace_extension().string();
  std::string singular = kind.substr(0, kind.size() - 1);
  diagnostics.error(
      at,
      fmt::format("there is no {} preset '{}' for framework '{}' (looked for {}/{}/{}.yaml in {})", singular, wanted,
                  framework, kind, framework, wanted, fmt::join(searched, ", ")),
      didYouMean(wanted, presetNames(kind, framework), "add the folder that holds it with --config-path"));
  return std::nullopt;
}

} // namespace primus::config
