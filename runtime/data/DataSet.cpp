//===- DataSet.cpp - From data keys to training and held-out samples ------===//

#include "runtime/data/DataSet.h"

#include "runtime/data/Split.h"

#include <filesystem>
#include <fmt/format.h>
#include <fmt/ranges.h>

using namespace primus::runtime;

std::string primus::runtime::detectDataKind(std::string &path) {
  std::filesystem::path prefix = path;
  if (prefix.extension() == ".bin" || prefix.extension() == ".idx")
    prefix.replace_extension();
  std::error_code code;
  if (!std::filesystem::exists(prefix.string() + ".idx", code))
    return "text";
  path = prefix.string();
  return "indexed";
}

static Expected<std::shared_ptr<const TokenSource>> openSource(const DataConfig &config,
                                                               const std::vector<std::string> &paths) {
  if (config.kind == "mock")
    return std::shared_ptr<const TokenSource>(makeMock(config.seed, config.vocabulary));
  if (config.kind != "text" && config.kind != "indexed")
    return Error::configuration(fmt::format("data of kind '{}'; there are text, indexed and mock", config.kind));
  if (paths.empty())
    return Error::configuration(
        fmt::format("data of kind '{}' needs a path: set it in the experiment or by --data PATH", config.kind));
  if (config.kind == "indexed" && paths.size() > 1)
    return Error::configuration(fmt::format("{} indexed datasets are given, but blending several is not supported yet; "
                                            "give one prefix",
                                            paths.size()));
  Expected<std::unique_ptr<TokenSource>> opened =
      config.kind == "text" ? openText(paths) : openIndexed(paths.front());
  if (!opened)
    return opened.takeError();
  return std::shared_ptr<const TokenSource>(std::move(*opened));
}

/// Checks that a part of the data holds one sequence. Each token has the next one as its label, hence one more.
static Error checkLength(int64_t tokens, const DataConfig &config, const std::string &what, const std::string &hint) {
  if (tokens > config.sequenceLength)
    return Error::success();
  return Error::configuration(fmt::format("{} has {} token{}, but one sequence of {} needs {} (each token is followed "
                                          "by the one to predict); {}",
                                          what, tokens, tokens == 1 ? "" : "s", config.sequenceLength,
                                          config.sequenceLength + 1, hint));
}

Expected<DataSet> primus::runtime::openData(const DataConfig &config, std::string &field) {
  field = "data.split";
  Expected<Split> split = parseSplit(config.validationPaths.empty() ? config.split : "");
  if (!split)
    return split.takeError();
  field = "data.paths";
  Expected<std::shared_ptr<const TokenSource>> source = openSource(config, config.paths);
  if (!source)
    return source.takeError();
  std::string name = config.kind == "mock" ? "the mock data" : fmt::format("'{}'", fmt::join(config.paths, "', '"));

  int64_t trainingEnd = (*source)->getSplitPosition(split->trainingEnd);
  if (Error error = checkLength(trainingEnd, config, fmt::format("the training part of {}", name),
                                "give more data or a shorter sequence"))
    return error;
  DataSet data = {Samples(*source, 0, trainingEnd, config.sequenceLength, config.vocabulary, Samples::Order::Shuffled,
                          config.seed),
                  std::nullopt};
  if (!config.needsValidation)
    return data;

  std::shared_ptr<const TokenSource> heldOut = *source;
  int64_t begin = trainingEnd, end = (*source)->getSplitPosition(split->validationEnd);
  field = "data.split";
  if (!config.validationPaths.empty()) {
    field = "data.validation_paths";
    Expected<std::shared_ptr<const TokenSource>> opened = openSource(config, config.validationPaths);
    if (!opened)
      return opened.takeError();
    heldOut = *opened;
    begin = 0;
    end = heldOut->getNumTokens();
    name = fmt::format("'{}'", fmt::join(config.validationPaths, "', '"));
  } else if (begin == end) {
    // Nothing held out is a choice; too little is a mistake.
    return data;
  }
  if (Error error = checkLength(end - begin, config, fmt::format("the held-out part of {}", name),
                                "give it a larger part of the data, or set eval_iters to 0"))
    return error;
  data.validation.emplace(heldOut, begin, end, config.sequenceLength, config.vocabulary, Samples::Order::Sequential,
                          config.seed);
  return data;
}
