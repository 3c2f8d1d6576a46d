//===- MetricsFile.cpp - One JSON object per step -------------------------===//

#include "runtime/metrics/MetricsFile.h"

#include "runtime/support/WriteFile.h"

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>

using namespace primus::runtime;

/// The shortest decimal that reads back as the same double.
static std::string toJson(double value) { return std::isfinite(value) ? fmt::format("{}", value) : "null"; }

std::string primus::runtime::toJsonLine(const StepMetrics &metrics) {
  std::string line = fmt::format(
      R"({{"step": {}, "loss": {}, "grad_norm": {}, "learning_rate": {}, "tokens": {}, "tokens_per_second": {}, "step_seconds": {})",
      metrics.step, toJson(metrics.loss), toJson(metrics.gradNorm), toJson(metrics.learningRate), metrics.tokens,
      toJson(metrics.getTokensPerSecond()), toJson(metrics.stepSeconds));
  if (metrics.validationLoss)
    line += fmt::format(R"(, "validation_loss": {})", toJson(*metrics.validationLoss));
  return line + "}\n";
}

Expected<MetricsFile> MetricsFile::create(const std::string &path) {
  int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0)
    return Error::failure(fmt::format("cannot write '{}': {}", path, std::strerror(errno)));
  return MetricsFile(path, descriptor);
}

MetricsFile::MetricsFile(MetricsFile &&other) noexcept
    : path(std::move(other.path)), descriptor(std::exchange(other.descriptor, -1)) {}

MetricsFile &MetricsFile::operator=(MetricsFile &&other) noexcept {
  std::swap(path, other.path);
  std::swap(descriptor, other.descriptor);
  return *this;
}

MetricsFile::~MetricsFile() {
  if (descriptor >= 0)
    close(descriptor);
}

Error MetricsFile::append(const StepMetrics &metrics) {
  if (writeAll(descriptor, toJsonLine(metrics)))
    return Error::success();
  return Error::failure(fmt::format("cannot write '{}': {}", path, std::strerror(errno)));
}
