//===- Report.h - What --report prints ------------------------------------===//

#ifndef PRIMUS_RUNTIME_METRICS_REPORT_H
#define PRIMUS_RUNTIME_METRICS_REPORT_H

#include "runtime/executable/Executable.pb.h"
#include "runtime/metrics/ProcessMemory.h"

#include <nlohmann/json.hpp>

namespace primus::runtime {

/// What an executable says about itself: parameters, flops_per_step, ranks, kernels, code_bytes. The compiler adds
/// compile_seconds, a run what addRunToReport adds.
nlohmann::ordered_json makeReport(const executable::Executable &executable);

/// A GPU kernel's registers, spills and occupancy.
nlohmann::ordered_json describeResources(const executable::Resources &resources);

/// What a rank's run adds to the report.
struct RankFigures {
  int64_t allocatedBytes = 0;    ///< for tensors
  int64_t communicatorBytes = 0; ///< for messages on their way
  double waitSeconds = 0;        ///< for other ranks and links
  double linkSeconds = 0;        ///< for modelled links alone
  double computeSeconds = 0;     ///< processor time between collectives
};

/// Adds allocated_bytes (of rank 0, as each rank has its own arena of this size), process_bytes (of this process), and, of
/// several ranks, the communicator's name and each one's figures. The arena is one of the purposes in `uses`; the others
/// are what the process has besides tensors.
void addRunToReport(nlohmann::ordered_json &report, const std::string &communicator,
                    const std::vector<RankFigures> &figures, const std::vector<MemoryUse> &uses);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_METRICS_REPORT_H
