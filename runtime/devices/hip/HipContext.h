//===- HipContext.h - A GPU that a rank uses ------------------------------===//

#ifndef PRIMUS_RUNTIME_DEVICES_HIP_HIPCONTEXT_H
#define PRIMUS_RUNTIME_DEVICES_HIP_HIPCONTEXT_H

#include "runtime/devices/Device.h"
#include "runtime/devices/hip/HipLibrary.h"

#include <memory>
#include <string>

namespace primus::runtime::hip {

/// The device that this thread uses, and the queue of its work. After an error that leaves work unfinished it is lost: then
/// nothing is released, as that would wait for the work, and the process has to end.
class Context {
public:
  /// Takes the device for a rank of this host: the one of that number, or the only one where a launcher gives each process
  /// its own.
  static Expected<std::unique_ptr<Context>> create(int localRank);
  ~Context();
  Context(const Context &) = delete;
  Context &operator=(const Context &) = delete;

  const Library &getLibrary() const { return library; }
  int getIndex() const { return index; }
  /// "GPU 0 (AMD Instinct MI300X)"
  const std::string &getDescription() const { return description; }
  /// Where kernels and copies run, in order.
  Stream getStream() const { return stream; }

  bool isLost() const { return lost; }
  void setLost() { lost = true; }

  /// Turns the result of a call into an error that names the call and the device; an error makes the context lost.
  Error check(Result result, const char *call, std::string_view doing);

  /// Waits for all work of the queue; `poll` may cut it short.
  Error synchronize(const Device::Poll &poll);

private:
  Context(const Library &library, int index) : library(library), index(index) {}
  Error initialize();

  const Library &library;
  int index;
  std::string description;
  Stream stream = nullptr;
  Event end = nullptr; ///< of the work that is waited for
  bool lost = false;
};

} // namespace primus::runtime::hip

#endif // PRIMUS_RUNTIME_DEVICES_HIP_HIPCONTEXT_H
