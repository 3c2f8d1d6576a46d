//===- Progress.h - How far a long piece of work is --------------*- C++ -*-===//

#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace primus::cli {

/// Tells on standard error how far work is that takes longer than two seconds: on a terminal in one line that changes, else every ten
/// seconds.
class Progress {
public:
  /// `what` is counted: "kernels".
  explicit Progress(std::string what);
  /// Removes the line from a terminal.
  ~Progress();
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;

  void update(size_t done, size_t count);

private:
  using Clock = std::chrono::steady_clock;

  std::string what;
  bool isTerminal, isShown = false;
  Clock::time_point next;
};

} // namespace primus::cli
