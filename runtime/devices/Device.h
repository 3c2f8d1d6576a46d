//===- Device.h - What the executor needs of a device ---------------------===//

#ifndef PRIMUS_RUNTIME_DEVICES_DEVICE_H
#define PRIMUS_RUNTIME_DEVICES_DEVICE_H

#include "runtime/support/Error.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

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

/// Owns a device's memory, code and threads or streams.
class Device {
public:
  virtual ~Device() = default;

  virtual std::string_view getName() const = 0;

  /// Loads a code object (CPU: an ELF shared object). Called once, before findKernel.
  virtual Error loadCode(std::string_view code) = 0;
  virtual Expected<const void *> findKernel(const std::string &symbol) = 0;

  /// The only tensor memory: zeroed, present, aligned to arenaAlignment. Called once.
  virtual Expected<std::byte *> allocateArena(int64_t bytes) = 0;
  /// Bytes that allocateArena has handed out.
  virtual int64_t getAllocatedBytes() const = 0;

  /// The arguments that commands point to must outlive the list.
  virtual std::unique_ptr<CommandList> prepare(std::span<const Command> commands) = 0;
  /// Runs the commands in order and returns when all are done. Allocates nothing.
  virtual void run(CommandList &commands) = 0;

  virtual void upload(void *target, const void *source, int64_t bytes) = 0;
  virtual void download(void *target, const void *source, int64_t bytes) = 0;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_DEVICES_DEVICE_H
