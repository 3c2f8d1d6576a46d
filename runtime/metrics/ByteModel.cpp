//===- ByteModel.cpp - The model to beat ----------------------------------===//

#include "runtime/metrics/ByteModel.h"

#include <cmath>

using namespace primus::runtime;

ByteModel::ByteModel() : counts(256 * 256), losses(256 * 256) {}

void ByteModel::finish() {
  // How often each byte occurs as a follower, with add-one smoothing.
  std::vector<double> frequency(256, 1.0);
  double total = 256;
  for (size_t byte = 0; byte < 256; ++byte)
    for (size_t next = 0; next < 256; ++next) {
      frequency[next] += static_cast<double>(counts[byte * 256 + next]);
      total += static_cast<double>(counts[byte * 256 + next]);
    }

  for (size_t byte = 0; byte < 256; ++byte) {
    double occurrences = 0;
    for (size_t next = 0; next < 256; ++next)
      occurrences += static_cast<double>(counts[byte * 256 + next]);
    for (size_t next = 0; next < 256; ++next) {
      double seen = static_cast<double>(counts[byte * 256 + next]) + frequency[next] / total;
      losses[byte * 256 + next] = -std::log(seen / (occurrences + 1));
    }
  }
}
