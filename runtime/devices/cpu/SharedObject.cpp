//===- SharedObject.cpp - Code opened from memory -------------------------===//

#include "runtime/devices/cpu/SharedObject.h"

#include "runtime/support/WriteFile.h"

#include <cerrno>
#include <cstring>
#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

using namespace primus::runtime;

Expected<SharedObject> SharedObject::open(std::string_view bytes) {
  int descriptor = memfd_create("primus-kernels", MFD_CLOEXEC);
  if (descriptor < 0 || !writeAll(descriptor, bytes)) {
    std::string reason = std::strerror(errno);
    if (descriptor >= 0)
      close(descriptor);
    return Error::failure(fmt::format("cannot load the code: {}", reason));
  }
  SharedObject object(dlopen(fmt::format("/proc/self/fd/{}", descriptor).c_str(), RTLD_NOW | RTLD_LOCAL), descriptor);
  if (object.handle)
    return object;
  const char *reason = dlerror();
  return Error::failure(fmt::format("cannot load the code: {}", reason ? reason : "unknown reason"));
}

const void *SharedObject::find(const std::string &symbol) const { return dlsym(handle, symbol.c_str()); }

SharedObject::SharedObject(SharedObject &&other) noexcept
    : handle(std::exchange(other.handle, nullptr)), descriptor(std::exchange(other.descriptor, -1)) {}

SharedObject &SharedObject::operator=(SharedObject &&other) noexcept {
  std::swap(handle, other.handle);
  std::swap(descriptor, other.descriptor);
  return *this;
}

SharedObject::~SharedObject() {
  if (handle)
    dlclose(handle);
  if (descriptor >= 0)
    close(descriptor);
}
