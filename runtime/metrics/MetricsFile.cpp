//===- MetricsFile.cpp - One JSON object per step -------------------------===//

#include "runtime/metrics/MetricsFile.h"

#include "runtime/support/MappedFile.h"
#include "runtime/support/WriteFile.h"

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
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

/// Bytes of the rows before and including that of `step`.
static size_t findEndOfStep(std::string_view text, int64_t step) {
  size_t end = 0;
  for (size_t next; (next = text.find('\n', end)) != std::string_view::npos; end = next + 1) {
    auto row = nlohmann::json::parse(text.substr(end, next - end), nullptr, /*allow_exceptions=*/false);
    auto number = row.is_object() ? row.find("step") : row.end();
    if (number == row.end() || !number->is_number_integer() || number->get<int64_t>() > step)
      break;
  }
  return end;
}

Expected<MetricsFile> MetricsFile::resume(const std::string &path, int64_t step) {
  struct stat status;
  // A pipe holds no rows, and an empty file cannot be mapped.
  bool hasRows = stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0;
  if (!hasRows)
    return create(path);
  size_t end;
  {
    Expected<MappedFile> rows = MappedFile::open(path);
    if (!rows)
      return rows.takeError();
    end = findEndOfStep(rows->getBytes(), step);
  }
  MetricsFile file(path, open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (file.descriptor < 0 || ftruncate(file.descriptor, static_cast<off_t>(end)) != 0)
    return file.fail();
  return file;
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
  return writeAll(descriptor, toJsonLine(metrics)) ? Error::success() : fail();
}

Error MetricsFile::sync() {
  // Pipes and terminals cannot be synced, and say so.
  return fsync(descriptor) == 0 || errno == EINVAL || errno == EROFS ? Error::success() : fail();
}

Error MetricsFile::fail() const {
  return Error::failure(fmt::format("cannot write '{}': {}", path, std::strerror(errno)));
}
