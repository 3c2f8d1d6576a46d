//===- TextSampler.h - Text by the trained model --------------------------===//

#ifndef PRIMUS_RUNTIME_TRAIN_TEXTSAMPLER_H
#define PRIMUS_RUNTIME_TRAIN_TEXTSAMPLER_H

#include "runtime/data/Samples.h"
#include "runtime/executor/Executor.h"

#include <string>

namespace primus::runtime {

struct SampledText {
  std::string prompt;    ///< from the data
  std::string generated; ///< what the model made of it
};

/// Continues the beginning of `samples`, whose tokens are bytes, by `numBytes` bytes with the program `sample`. Equal
/// seeds and weights give equal text. All ranks run it together and get the same text.
Expected<SampledText> sampleText(Executor &executor, const Samples &samples, int64_t numBytes, double temperature,
                                 uint64_t seed);

/// The index that a uniform random number in (0, 1] picks from softmax(logits / temperature).
size_t pickToken(std::span<const float> logits, double temperature, double uniform);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_TRAIN_TEXTSAMPLER_H
