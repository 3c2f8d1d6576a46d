//===- PipelineLayout.cpp - Megatron's strings for pipeline stages --------===//

#include "frontend/config/megatron/PipelineLayout.h"

#include "frontend/config/SpecChecker.h"

#include <fmt/format.h>

#include <charconv>

namespace primus::config::megatron {

/// Of parentheses; each level costs stack.
static constexpr int mostNested = 64;

namespace {

/// Writes repetitions out.
class Unroller {
public:
  explicit Unroller(std::string_view text) : rest(text) {}

  /// Up to the end of the text, or of a group in parentheses.
  std::string unroll(int depth = 0) {
    std::string result;
    bool isGroup = depth > 0;
    if (depth > mostNested)
      error = "parentheses are nested too deeply";
    while (error.empty() && !rest.empty() && rest.front() != ')') {
      char next = rest.front();
      rest.remove_prefix(1);
      if (next == ',' || next == ' ')
        continue;
      std::string item = next == '(' ? unroll(depth + 1) : std::string(1, next);
      int64_t times = error.empty() ? readTimes(next == '(') : 0;
      // A layer and a border for each, and some that are refused later.
      if (static_cast<int64_t>(result.size()) + static_cast<int64_t>(item.size()) * times > 2 * mostLayers + 2)
        error = fmt::format("it has more than {} layers", mostLayers);
      for (int64_t i = 0; i < times && error.empty(); ++i)
        result += item;
    }
    if (!error.empty())
      return result;
    if (isGroup && rest.empty())
      error = "a parenthesis is not closed";
    else if (!isGroup && !rest.empty())
      error = "a parenthesis is closed that was not opened";
    if (isGroup && !rest.empty())
      rest.remove_prefix(1);
    return result;
  }

  std::string error;

private:
  /// The number behind '*'; 1 where there is none.
  int64_t readTimes(bool isGroup) {
    if (!rest.starts_with('*')) {
      if (isGroup)
        error = "parentheses need a number of repetitions: (tt|)*3";
      return 1;
    }
    int64_t times = 0;
    auto [end, code] = std::from_chars(rest.data() + 1, rest.data() + rest.size(), times);
    if (code != std::errc() || times < 0 || times > mostLayers) {
      error = fmt::format("'*' needs a number from 0 to {} behind it", mostLayers);
      return 0;
    }
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
    return times;
  }

  std::string_view rest;
};

} // namespace

PipelineLayout parseLayout(std::string_view text) {
  PipelineLayout layout;
  Unroller unroller(text);
  std::string flat = unroller.unroll();
  layout.error = unroller.error;
  if (!layout.error.empty())
    return layout;
  size_t embedding = flat.find('E'), head = flat.find('L');
  if (size_t unknown = flat.find_first_not_of("EtLm|"); unknown != std::string::npos)
    layout.error = fmt::format("'{}' means nothing in it: E is the embedding, t a layer, L the head, | the next stage", flat[unknown]);
  else if (flat.find('m') != std::string::npos)
    layout.error = "'m', multi-token prediction, is not supported";
  else if (embedding != 0 || flat.find('E', 1) != std::string::npos)
    layout.error = "it must begin with the embedding E, once";
  else if (head + 1 != flat.size())
    layout.error = "it must end with the head L, once";
  if (!layout.error.empty())
    return layout;
  layout.stages.push_back(0);
  for (char next : flat)
    if (next == '|')
      layout.stages.push_back(0);
    else
      layout.stages.back() += next == 't';
  return layout;
}

} // namespace primus::config::megatron
