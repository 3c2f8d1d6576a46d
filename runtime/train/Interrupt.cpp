//===- Interrupt.cpp - SIGINT and SIGTERM end a run in order --------------===//

#include "runtime/train/Interrupt.h"

#include <atomic>
#include <cerrno>
#include <string_view>
#include <unistd.h>

using namespace primus::runtime;

static std::atomic<int> received = 0;
static_assert(std::atomic<int>::is_always_lock_free, "written by a signal handler");

static void say(std::string_view message) {
  // Nothing can be done about a terminal that is gone.
  [[maybe_unused]] ssize_t written = write(STDERR_FILENO, message.data(), message.size());
}

/// Calls only what is safe in a signal handler.
static void onSignal(int signal) {
  int previousError = errno;
  if (received.exchange(signal) != 0) {
    say("\nended at once by a second signal\n");
    _exit(128 + signal);
  }
  say("\nfinishing the step; a second signal ends at once\n");
  errno = previousError;
}

InterruptHandler::InterruptHandler() {
  received = 0;
  struct sigaction action = {};
  action.sa_handler = onSignal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &previousInterrupt);
  sigaction(SIGTERM, &action, &previousTerminate);
}

InterruptHandler::~InterruptHandler() {
  sigaction(SIGINT, &previousInterrupt, nullptr);
  sigaction(SIGTERM, &previousTerminate, nullptr);
}

int InterruptHandler::getSignal() { return received; }
