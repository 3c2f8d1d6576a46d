//===- Progress.cpp - How far a long piece of work is ---------------------===//

#include "frontend/cli/Progress.h"

#include <fmt/format.h>
#include <unistd.h>

using namespace primus::cli;

Progress::Progress(std::string whatIn)
    : what(std::move(whatIn)), isTerminal(isatty(STDERR_FILENO)), next(Clock::now() + std::chrono::seconds(2)) {}

void Progress::update(size_t done, size_t count) {
  auto now = Clock::now();
  if (now < next || done == count)
    return;
  next = now + std::chrono::milliseconds(isTerminal ? 200 : 10000);
  isShown = true;
  std::string text = fmt::format("{}: {} of {}", what, done, count);
  fmt::print(stderr, "{}{}{}", isTerminal ? "\r" : "", text, isTerminal ? "" : "\n");
}

Progress::~Progress() {
  if (isShown && isTerminal)
    fmt::print(stderr, "\r\x1b[K");
}
