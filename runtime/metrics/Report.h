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

/// Adds allocated_bytes and process_bytes. The arena is one of the purposes in `uses`; the others are what the process has
/// besides tensors.
void addRunToReport(nlohmann::ordered_json &report, int64_t allocatedBytes, const std::vector<MemoryUse> &uses);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_METRICS_REPORT_H
