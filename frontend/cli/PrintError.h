//===- PrintError.h - The last line of a failed command -----------*- C++ -*-===//

#pragma once

#include "runtime/support/Error.h"

#include <fmt/format.h>

namespace primus::cli {

/// Prints an error under the command's name. Messages with a place of their own stand alone; an empty one has been
/// printed.
inline void printError(const char *command, const runtime::Error &error) {
  const std::string &message = error.getMessage();
  if (message.find(": error: ") != std::string::npos)
    fmt::print(stderr, "{}{}", message, message.ends_with('\n') ? "" : "\n");
  else if (!message.empty())
    fmt::print(stderr, "{}: error: {}\n", command, message);
}

} // namespace primus::cli
