//===- Interrupt.h - SIGINT and SIGTERM end a run in order ----------------===//

#ifndef PRIMUS_RUNTIME_TRAIN_INTERRUPT_H
#define PRIMUS_RUNTIME_TRAIN_INTERRUPT_H

#include <csignal>

namespace primus::runtime {

/// While it exists, the first SIGINT or SIGTERM asks the run to stop after the present step, and a second ends the
/// process at once. One at a time.
class InterruptHandler {
public:
  InterruptHandler();
  ~InterruptHandler();
  InterruptHandler(const InterruptHandler &) = delete;
  InterruptHandler &operator=(const InterruptHandler &) = delete;

  /// The signal that came, or 0.
  static int getSignal();

private:
  struct sigaction previousInterrupt;
  struct sigaction previousTerminate;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_TRAIN_INTERRUPT_H
