//===- PlainName.h - File names that stay in their folder -----------------===//

#ifndef PRIMUS_RUNTIME_SUPPORT_PLAINNAME_H
#define PRIMUS_RUNTIME_SUPPORT_PLAINNAME_H

#include <string_view>

namespace primus::runtime {

/// Whether `name` names an entry of a folder and nothing outside it, on any system.
inline bool isPlainName(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_SUPPORT_PLAINNAME_H
