//===- Progress.h - Lines for the person who waits ------------------------===//

#ifndef PRIMUS_RUNTIME_METRICS_PROGRESS_H
#define PRIMUS_RUNTIME_METRICS_PROGRESS_H

#include "runtime/metrics/MetricsFile.h"

#include <string>
#include <string_view>

namespace primus::runtime {

/// "45 s", "2 min 05 s", "3 h 07 min".
std::string formatDuration(double seconds);

/// One line: step, loss, gradient norm, learning rate, tokens/s, time left.
std::string formatProgress(const StepMetrics &metrics, int64_t numSteps, double secondsLeft);

/// Bytes as text that is safe on any terminal: printable ASCII, line ends and tabs as they are, well-formed UTF-8 as it
/// is, and everything else as \xNN.
std::string escapeBytes(std::string_view bytes);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_METRICS_PROGRESS_H
