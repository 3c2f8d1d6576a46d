//===- TextSampler.cpp - Text by the trained model ------------------------===//

#include "runtime/train/TextSampler.h"

#include "runtime/data/RandomStreams.h"
#include "runtime/init/Initializer.h"
#include "runtime/init/Philox.h"
#include "runtime/train/Interrupt.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

using namespace primus;
using namespace primus::runtime;

size_t primus::runtime::pickToken(std::span<const float> logits, double temperature, double uniform) {
  double largest = *std::max_element(logits.begin(), logits.end());
  auto weigh = [&](float logit) { return std::exp((logit - largest) / temperature); };
  double sum = 0;
  for (float logit : logits)
    sum += weigh(logit);
  double rest = uniform * sum;
  for (size_t i = 0; i < logits.size(); ++i) {
    rest -= weigh(logits[i]);
    if (rest <= 0)
      return i;
  }
  // Only rounding leads here.
  return static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

namespace {

/// The program `sample` and its ports.
struct SampleProgram {
  int program = -1;
  /// This rank's part of the tokens [sequences, positions]; only the first sequence counts.
  InputSlice tokens;
  Tensor position, logits;
  /// The vocabulary with its padding.
  int64_t numLogits = 0;
};

} // namespace

/// The port of this name if it has two dimensions, else null.
static const executable::Port *findMatrix(const google::protobuf::RepeatedPtrField<executable::Port> &ports,
                                          std::string_view name) {
  for (const executable::Port &port : ports)
    if (port.name() == name && port.type().shape_size() == 2)
      return &port;
  return nullptr;
}

/// Finds the program and takes its sizes as the compiler chose them.
static Expected<SampleProgram> findSampleProgram(Executor &executor) {
  SampleProgram sample;
  sample.program = executor.findProgram("sample");
  if (sample.program < 0)
    return Error::failure("the executable has no program 'sample', which generates text");
  const executable::Program &program = executor.getExecutable().programs(sample.program);
  if (const executable::Port *port = findMatrix(program.outputs(), "logits"))
    sample.numLogits = port->type().shape(1);

  Expected<InputSlice> tokens = executor.findInputSlice(sample.program, "tokens", 2);
  if (!tokens)
    return tokens.takeError();
  Expected<Tensor> position = executor.findInput(sample.program, "position", executable::I32, {1});
  if (!position)
    return position.takeError();
  Expected<Tensor> logits = executor.findOutput(sample.program, "logits", executable::F32, {1, sample.numLogits});
  if (!logits)
    return logits.takeError();
  int64_t vocabulary = executor.getExecutable().training().vocabulary();
  if (sample.numLogits < vocabulary)
    return Error::failure(
        fmt::format("program 'sample' has {} logits for a vocabulary of {}", sample.numLogits, vocabulary));
  sample.tokens = std::move(*tokens);
  sample.position = *position;
  sample.logits = *logits;
  return sample;
}

/// The token that is stored at index `index` of a sequence, of which several ranks may have parts.
static int64_t getPosition(const SampleProgram &sample, int64_t index) {
  int64_t ranks = sample.tokens.ranksPerDim[1];
  return ranks > 1 ? getContextPosition(index, sample.tokens.globalShape[1], ranks) : index;
}

/// Writes this rank's part of the context, and where in it the last token is.
static Error writeContext(Executor &executor, const SampleProgram &sample, std::span<const int32_t> context) {
  const TensorRegion &own = sample.tokens.region;
  std::vector<int32_t> tokens(static_cast<size_t>(own.getElements()));
  if (own.begin[0] == 0)
    for (int64_t i = 0; i < own.shape[1]; ++i)
      if (auto position = static_cast<size_t>(getPosition(sample, own.begin[1] + i)); position < context.size())
        tokens[static_cast<size_t>(i)] = context[position];
  if (Error error = executor.write(sample.tokens.tensor, tokens.data()))
    return error;
  int32_t last = 0;
  while (getPosition(sample, last) != static_cast<int64_t>(context.size()) - 1)
    ++last;
  return executor.write(sample.position, &last);
}

/// Whether a signal asks any rank to stop.
static Expected<bool> isInterrupted(Communicator &communicator) {
  double signal = InterruptHandler::getSignal();
  if (communicator.getNumRanks() > 1)
    if (Error error = communicator.allReduce({&signal, 1}, Reduction::Max))
      return error;
  return signal != 0;
}

Expected<SampledText> primus::runtime::sampleText(Executor &executor, const Samples &samples, int64_t numBytes,
                                                  double temperature, uint64_t seed) {
  const executable::Training &training = executor.getExecutable().training();
  Expected<SampleProgram> sample = findSampleProgram(executor);
  if (!sample)
    return sample.takeError();

  auto length = static_cast<size_t>(sample->tokens.globalShape[1]);
  constexpr size_t promptBytes = 64;
  std::vector<int32_t> context(std::min(promptBytes, (length + 1) / 2));
  samples.getSource().read(samples.getBegin(), context);
  SampledText text;
  text.prompt.assign(context.begin(), context.end());

  std::vector<float> logits(static_cast<size_t>(sample->numLogits));
  for (int64_t i = 0; i < numBytes; ++i) {
    Expected<bool> stops = isInterrupted(executor.getCommunicator());
    if (!stops)
      return stops.takeError();
    if (*stops)
      break;
    // A context that has outgrown the model goes on with its younger half.
    if (context.size() > length)
      context.erase(context.begin(), context.end() - static_cast<std::ptrdiff_t>((length + 1) / 2));
    if (Error error = writeContext(executor, *sample, context))
      return error;
    if (Error error = executor.run(sample->program))
      return error;
    if (Error error = executor.read(sample->logits, logits.data()))
      return error;
    PhiloxBlock block = philox(seed, textSamplingStream, static_cast<uint64_t>(i));
    size_t token = pickToken(std::span(logits).first(static_cast<size_t>(std::min<int64_t>(training.vocabulary(), 256))),
                             temperature, uniformFromBits(block[0], block[1]));
    context.push_back(static_cast<int32_t>(token));
    text.generated += static_cast<char>(token);
  }
  return text;
}
