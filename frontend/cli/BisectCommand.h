//===- BisectCommand.h - primus-bisect ----------------------------*- C++ -*-===//

#pragma once

namespace primus::cli {

/// Entry of the tool. Returns 0 when all phases agree, 1 when one differs (a defect of ours), else as all commands.
int bisectMain(int argc, const char *const *argv);

} // namespace primus::cli
