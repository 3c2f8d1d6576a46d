//===- FoldLines.h - Repeated layers of a text, shown once --------*- C++ -*-===//

#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace primus::cli {

/// Lines of a text, shown once for all the layer instances that they stand for.
struct FoldedLines {
  /// Without the last line's end. Of a repeated part, the lines of its first instance.
  std::string text;
  /// How many instances: 1 for what is not repeated.
  int64_t repeats = 1;
  /// Names of the first and the last instance in the text's order, e.g. layers.11 and layers.0 in a backward pass.
  std::string first, last;
};

/// Folds runs of lines that differ only in the instance that they name. `stems` are the instances' names without their numbers ("layers.");
/// names of values and numbers outside <> (offsets, random streams) may differ between instances. Time is linear in the text for a given
/// longest block.
std::vector<FoldedLines> foldLines(std::string_view text, const std::vector<std::string> &stems);

} // namespace primus::cli
