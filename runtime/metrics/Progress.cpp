//===- Progress.cpp - Lines for the person who waits ----------------------===//

#include "runtime/metrics/Progress.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

using namespace primus::runtime;

std::string primus::runtime::formatDuration(double seconds) {
  auto total = static_cast<int64_t>(std::llround(std::clamp(seconds, 0.0, 1e15)));
  if (total < 60)
    return fmt::format("{} s", total);
  if (total < 3600)
    return fmt::format("{} min {:02} s", total / 60, total % 60);
  return fmt::format("{} h {:02} min", total / 3600, total / 60 % 60);
}

std::string primus::runtime::formatProgress(const StepMetrics &metrics, int64_t numSteps, double secondsLeft) {
  std::string total = std::to_string(numSteps);
  return fmt::format("step {:>{}}/{}  loss {:.4f}  grad norm {:.3f}  lr {:.3e}  {:.0f} tokens/s  {} left", metrics.step,
                     total.size(), total, metrics.loss, metrics.gradNorm, metrics.learningRate,
                     metrics.getTokensPerSecond(), formatDuration(secondsLeft));
}

/// Length of the well-formed UTF-8 sequence of several bytes at the start of `bytes`, or 0. Control characters of the
/// second block (U+0080..U+009F) move some terminals' cursors and do not count.
static size_t getUtf8Length(std::string_view bytes) {
  auto lead = static_cast<unsigned char>(bytes[0]);
  size_t length = lead >= 0xf0 && lead < 0xf5 ? 4 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xc2 && lead < 0xe0 ? 2 : 0;
  if (length == 0 || bytes.size() < length)
    return 0;
  uint32_t code = lead & (0x7f >> length);
  for (size_t i = 1; i < length; ++i) {
    auto next = static_cast<unsigned char>(bytes[i]);
    if ((next & 0xc0) != 0x80)
      return 0;
    code = code << 6 | (next & 0x3f);
  }
  constexpr uint32_t smallest[] = {0, 0, 0xa0, 0x800, 0x10000};
  bool isSurrogate = code >= 0xd800 && code < 0xe000;
  return code < smallest[length] || code > 0x10ffff || isSurrogate ? 0 : length;
}

std::string primus::runtime::escapeBytes(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    auto byte = static_cast<unsigned char>(bytes[0]);
    size_t length = 1;
    if ((byte >= 0x20 && byte < 0x7f) || byte == '\n' || byte == '\t')
      text += bytes[0];
    else if (size_t sequence = getUtf8Length(bytes)) {
      text += bytes.substr(0, sequence);
      length = sequence;
    } else
      text += fmt::format("\\x{:02x}", byte);
    bytes.remove_prefix(length);
  }
  return text;
}
