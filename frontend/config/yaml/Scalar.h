//===- Scalar.h - Which text is which scalar ---------------------*- C++ -*-===//
//
// Three readers of scalars exist upstream and they differ: plain scalars of YAML 1.1, the whole text left by `${VAR}`,
// and values on the command line. One deliberate difference: a number without a dot or a sign in its exponent (`1e-5`)
// is a number in all three, where PyYAML says string.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/config/yaml/Value.h"

#include <optional>
#include <string_view>

namespace primus::config {

/// A plain (unquoted) YAML 1.1 scalar: null, yes/no/on/off, octal, hexadecimal, binary and sexagesimal integers,
/// underscores, floats. An integer that does not fit in 64 bits is an error.
Value plainScalar(std::string_view text, const Location &location, Diagnostics &diagnostics);

/// A string changed by substitution: true/false in any case, integers, floats; everything else stays text.
Value substitutedScalar(const std::string &text, const Location &location, Diagnostics &diagnostics);

/// The value of `key=value`: true/false, None, Python literals in brackets, integers, floats, else text as it is.
Value commandLineScalar(const std::string &text, const Location &location, Diagnostics &diagnostics);

/// Decimal number with optional sign, fraction and exponent; underscores between digits if allowed.
std::optional<double> parseFloat(std::string_view text, bool underscores);

} // namespace primus::config
