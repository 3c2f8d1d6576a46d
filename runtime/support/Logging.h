//===- Logging.h - Where log lines go -------------------------------------===//

#ifndef PRIMUS_RUNTIME_SUPPORT_LOGGING_H
#define PRIMUS_RUNTIME_SUPPORT_LOGGING_H

#include "runtime/support/Error.h"

#include <string>

namespace primus::runtime {

/// Log keys of an experiment. Levels are TRACE, DEBUG, INFO, SUCCESS, WARNING, ERROR and CRITICAL in any case.
struct LogConfig {
  std::string folder; ///< the experiment's output folder; empty: no log files
  std::string module; ///< whose run it is
  std::string sinkLevel; ///< overrides the other two; empty: it does not
  int ranks = 1; ///< of the run, for which rank 0 writes
  std::string fileSinkLevel = "DEBUG";
  std::string stderrSinkLevel = "INFO";
};

/// Directs spdlog's default logger to standard error, and to folder/logs/module/rank-0/{debug,info,warning,error}.log as
/// upstream does: each file holds its level and what is above, and files below fileSinkLevel are left out. Creates folders.
Error setUpLogging(const LogConfig &config);

/// Drops what this thread logs through the logger of setUpLogging: rank 0 speaks for all.
void muteThisThread();

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_SUPPORT_LOGGING_H
