//===- SharedObject.h - Code opened from memory ---------------------------===//

#ifndef PRIMUS_RUNTIME_DEVICES_CPU_SHAREDOBJECT_H
#define PRIMUS_RUNTIME_DEVICES_CPU_SHAREDOBJECT_H

#include "runtime/support/Error.h"

#include <string>
#include <string_view>

namespace primus::runtime {

/// A shared object that never was a file on disk.
class SharedObject {
public:
  static Expected<SharedObject> open(std::string_view bytes);

  SharedObject(SharedObject &&other) noexcept;
  SharedObject &operator=(SharedObject &&other) noexcept;
  ~SharedObject();

  /// Null if there is no such symbol.
  const void *find(const std::string &symbol) const;

private:
  SharedObject(void *handle, int descriptor) : handle(handle), descriptor(descriptor) {}

  void *handle;
  /// Open as long as the object is: the dynamic linker knows objects by name, here the descriptor's number, and would
  /// return this one again for another object under the same number.
  int descriptor;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_DEVICES_CPU_SHAREDOBJECT_H
