//===- Device.h - What the executor needs of a device ---------------------===//

#ifndef PRIMUS_RUNTIME_DEVICES_DEVICE_H
#define PRIMUS_RUNTIME_DEVICES_DEVICE_H

#include "runtime/executable/Executable.pb.h"
#include "runtime/support/Error.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace primus::runtime {

/// One entry of a flattened program. Pointers are the device's.
struct Command {
  enum class Kind : uint8_t { Launch, Copy, Fill };

  Kind kind;
  /// Launch: cost estimates, for choosing how many threads are worth waking.
  int64_t flops = 0;
  /// Launch: estimated bytes moved. Copy and fill: how many bytes.
  int64_t bytes = 0;
  /// Launch: what findKernel returned, its arguments and the number of program instances of its grid.
  const void *kernel = nullptr;
  void *const *arguments = nullptr;
  int64_t instances = 0;
  /// Copy and fill; source and target of a copy do not overlap.
  void *target = nullptr;
  const void *source = nullptr;
};

/// A command list that a device has made ready to run.
class CommandList {
public:
  virtual ~CommandList() = default;
};

class Communicator;

/// Owns a device's memory, code and threads or streams. Belongs to the thread that created it.
///
/// A device may work in the background: `run`, `upload` and communication return when the work is in its queue, which it
/// goes through in order. What goes wrong there is reported by whatever is called next; after that nothing works any more.
class Device {
public:
  virtual ~Device() = default;

  virtual std::string_view getName() const = 0;

  /// Loads the executable's code, which has to be for this device. Called once, before findKernel.
  virtual Error loadCode(const executable::Executable &executable) = 0;
  virtual Expected<const void *> findKernel(const executable::Kernel &kernel) = 0;

  /// The only tensor memory: zeroed, present, aligned to arenaAlignment. Called once.
  virtual Expected<std::byte *> allocateArena(int64_t bytes) = 0;
  /// Bytes that allocateArena has handed out.
  virtual int64_t getAllocatedBytes() const = 0;
  /// Memory of the host beside it, which passes tensors on.
  virtual int64_t getStagingBytes() const { return 0; }

  /// What ranks exchange tensors with, where `host`, which has to outlive it, cannot reach them; else null.
  virtual Expected<std::unique_ptr<Communicator>> createCommunicator(Communicator &host);

  /// The arguments that commands point to must outlive the list.
  virtual std::unique_ptr<CommandList> prepare(std::span<const Command> commands) = 0;
  /// Runs the commands in order. Allocates nothing.
  virtual Error run(CommandList &commands) = 0;

  /// Asked again and again while a device waits for itself: an error makes it give up.
  using Poll = std::function<Error()>;
  /// Waits until everything is done. Without `poll` nothing cuts the wait short.
  virtual Error synchronize(const Poll &poll) = 0;

  /// For profiles: notes the moment when the work so far is done.
  virtual Error mark() = 0;
  /// The moments since the last call, in seconds of the steady clock. Everything has to be done.
  virtual Expected<std::vector<double>> takeMarks() = 0;

  /// The source can be reused at once.
  virtual Error upload(void *target, const void *source, int64_t bytes) = 0;
  /// Returns when the bytes are there.
  virtual Error download(void *target, const void *source, int64_t bytes) = 0;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_DEVICES_DEVICE_H
