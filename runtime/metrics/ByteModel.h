//===- ByteModel.h - The model to beat ------------------------------------===//

#ifndef PRIMUS_RUNTIME_METRICS_BYTEMODEL_H
#define PRIMUS_RUNTIME_METRICS_BYTEMODEL_H

#include <cstdint>
#include <span>
#include <vector>

namespace primus::runtime {

/// An order-1 model of bytes: the probability of a byte given the one before, counted on a text. One imagined
/// occurrence is shared among the 256 followers of each byte in proportion to how often they occur at all, which predicts
/// held-out text better than adding one to each count.
class ByteModel {
public:
  ByteModel();

  /// Counts that `next` followed `byte`.
  void count(uint8_t byte, uint8_t next) { ++counts[byte * 256u + next]; }

  /// Ends the counting.
  void finish();

  /// The loss in nats of one prediction; after finish().
  double getLoss(uint8_t byte, uint8_t next) const { return losses[byte * 256u + next]; }

private:
  std::vector<int64_t> counts;
  std::vector<double> losses;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_METRICS_BYTEMODEL_H
