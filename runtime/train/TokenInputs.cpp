//===- TokenInputs.cpp - Where a program takes its batch ------------------===//

#include "runtime/train/TokenInputs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

using namespace primus;
using namespace primus::runtime;

Expected<TokenInputs> primus::runtime::findTokenInputs(const Executor &executor, int program, size_t rank) {
  Expected<InputSlice> tokens = executor.findInputSlice(program, "tokens", rank);
  if (!tokens)
    return tokens.takeError();
  Expected<InputSlice> labels = executor.findInputSlice(program, "labels", rank);
  if (!labels)
    return labels.takeError();
  const executable::Training &training = executor.getExecutable().training();
  const std::string &name = executor.getExecutable().programs(program).name();
  const std::vector<int64_t> &shape = tokens->globalShape;
  if (labels->globalShape != shape || labels->region != tokens->region || labels->ranksPerDim != tokens->ranksPerDim)
    return Error::failure(fmt::format("program '{}': labels are not laid out as tokens are", name));
  bool hasMicrobatches = rank == 3;
  if (shape.back() != training.sequence_length() || shape[rank - 2] % training.micro_batch_size() != 0 ||
      (hasMicrobatches && shape[0] != training.microbatches()))
    return Error::failure(fmt::format("program '{}': tokens are [{}], but training has {} microbatches of {} sequences "
                                      "of {} tokens",
                                      name, fmt::join(shape, "x"), training.microbatches(), training.micro_batch_size(),
                                      training.sequence_length()));
  return TokenInputs{tokens->tensor, labels->tensor, BatchSlice(shape, tokens->region, tokens->ranksPerDim.back())};
}
