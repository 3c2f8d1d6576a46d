//===- Merge.h - Layering one mapping over another ---------------*- C++ -*-===//

#pragma once

#include "frontend/config/yaml/Value.h"

#include <string>
#include <vector>

namespace primus::config {

/// A value that another layer replaced or kept out.
struct Hidden {
  std::string key; // dotted path
  Value value;     // what is hidden
  Location winner; // where the value that counts stands
  /// The model preset's value lost to a module preset: a surprise, so it is worth a warning.
  bool surprising = false;
};

struct MergeOptions {
  /// The string "null" becomes null where the merge assigns it: at the top, and inside mappings that exist already.
  bool nullStrings = false;
  /// Where to note replaced values; may be null.
  std::vector<Hidden> *hidden = nullptr;
};

/// Layers `over` onto `base`: mappings merge deeply; lists and scalars are replaced; null replaces too.
void mergeMap(Map &base, const Map &over, const MergeOptions &options = {}, const std::string &prefix = {});

/// Turns the top-level strings "null" into null.
void convertNullStrings(Map &map);

} // namespace primus::config
