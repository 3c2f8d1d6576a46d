//===- MetricsFile.h - One JSON object per step ---------------------------===//

#ifndef PRIMUS_RUNTIME_METRICS_METRICSFILE_H
#define PRIMUS_RUNTIME_METRICS_METRICSFILE_H

#include "runtime/support/Error.h"

#include <cstdint>
#include <optional>
#include <string>

namespace primus::runtime {

/// What is known after a step.
struct StepMetrics {
  int64_t step = 0; ///< from 1
  float loss = 0;
  float gradNorm = 0;
  double learningRate = 0;
  int64_t tokens = 0; ///< of this step
  double stepSeconds = 0;
  /// Set where the step was followed by an evaluation.
  std::optional<double> validationLoss;

  double getTokensPerSecond() const { return stepSeconds > 0 ? static_cast<double>(tokens) / stepSeconds : 0; }
};

/// The line for a step, with its end of line. Numbers have as many digits as it takes to read the same value back; what
/// is not finite is null.
std::string toJsonLine(const StepMetrics &metrics);

/// A file of JSON lines, whole after every line.
class MetricsFile {
public:
  /// Starts a new file.
  static Expected<MetricsFile> create(const std::string &path);
  /// Goes on after the row of `step`: rows that follow it, and one that was cut off, are dropped. Starts a new file where
  /// there is none.
  static Expected<MetricsFile> resume(const std::string &path, int64_t step);

  MetricsFile(MetricsFile &&other) noexcept;
  MetricsFile &operator=(MetricsFile &&other) noexcept;
  ~MetricsFile();

  Error append(const StepMetrics &metrics);

  /// Makes the rows survive a crash of the machine.
  Error sync();

private:
  MetricsFile(std::string path, int descriptor) : path(std::move(path)), descriptor(descriptor) {}
  Error fail() const;

  std::string path;
  int descriptor;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_METRICS_METRICSFILE_H
