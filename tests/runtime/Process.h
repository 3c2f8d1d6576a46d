//===- Process.h - Runs programs for tests --------------------------------===//

#ifndef PRIMUS_TESTS_RUNTIME_PROCESS_H
#define PRIMUS_TESTS_RUNTIME_PROCESS_H

#include <chrono>
#include <string>
#include <sys/types.h>
#include <vector>

namespace primus::test {

/// A child process whose standard output and error are collected. It and what it starts are ended where they take too long.
class Process {
public:
  /// Starts a program with extra environment entries ("NAME=value").
  Process(std::vector<std::string> command, std::vector<std::string> environment = {});
  ~Process();

  pid_t getPid() const { return pid; }
  /// Reads output until it contains `text`. False if it ends before.
  bool waitFor(const std::string &text);
  /// Waits for the end. Returns the exit code, or 128 + signal; -1 where it took too long.
  int wait();
  const std::string &getOutput() const { return output; }

private:
  using Clock = std::chrono::steady_clock;

  /// False at the end of the output, or when the time is over.
  bool readSome();
  void sendSignal(int signal) const;

  pid_t pid = -1;
  int descriptor = -1;
  std::string output;
  Clock::time_point deadline;
  bool isOverdue = false;
};

} // namespace primus::test

#endif // PRIMUS_TESTS_RUNTIME_PROCESS_H
