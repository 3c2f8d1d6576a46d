//===- Split.h - Megatron's split strings ---------------------------------===//

#ifndef PRIMUS_RUNTIME_DATA_SPLIT_H
#define PRIMUS_RUNTIME_DATA_SPLIT_H

#include "runtime/support/Error.h"

#include <string>

namespace primus::runtime {

/// Which part of the documents is for training, and which, following it, is held out. The rest is for tests.
struct Split {
  double trainingEnd = 1;   ///< training is [0, trainingEnd)
  double validationEnd = 1; ///< validation is [trainingEnd, validationEnd)
};

/// Parses "99,1,0": up to three weights for training, validation and test, normalised by their sum. Empty: all training.
Expected<Split> parseSplit(const std::string &text);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_DATA_SPLIT_H
