//===- EvalCommand.h - primus-eval --------------------------------*- C++ -*-===//

#pragma once

namespace primus::cli {

/// Entry of the tool; returns its exit code.
int evalMain(int argc, const char *const *argv);

} // namespace primus::cli
