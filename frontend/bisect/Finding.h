//===- Finding.h - Where two runs of a model part -----------------*- C++ -*-===//

#pragma once

#include "llvm/ADT/SmallVector.h"

#include <string>

namespace primus::bisect {

/// The first op whose value differs, as far as it could be narrowed down: fields that are not known are empty.
struct Finding {
  /// The pass after which the values differ, e.g. "graph-form-fusions", or with the function it ran on: "canonicalize on @block.backward".
  std::string pass;
  /// The call: function, layer instance, and how many calls of both came before (microbatches and steps).
  std::string function, instance;
  int64_t occurrence = 0;
  /// The op, e.g. "graph.matmul"; the composite whose definition it is a part of; and the kernel and its family.
  std::string op, composite, kernel, family;
  /// The value's name in dumps, and its type without layout.
  std::string value, type;
  /// The first element that differs, with what it was before and is now.
  llvm::SmallVector<int64_t> element;
  double expected = 0, actual = 0, relative = 0;
  /// How many elements differ, of how many.
  int64_t count = 0, size = 0;
  /// Giving the value what it was before makes the function's results what they were before.
  bool confirmed = false;
  /// What else a person should know, in a sentence.
  std::string note;

  bool hasValue() const { return size > 0; }
};

} // namespace primus::bisect
