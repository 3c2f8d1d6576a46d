//===- MpiLibrary.cpp - MPI, opened when it is needed ---------------------===//

#include "runtime/communicators/mpi/MpiLibrary.h"

#include "runtime/support/OwnFolder.h"

#include <dlfcn.h>
#include <fmt/format.h>

using namespace primus::runtime;

Expected<std::unique_ptr<Communicator>> primus::runtime::createMpiCommunicator(const CommunicatorOptions &options) {
  constexpr const char *name = "libprimus_mpi.so";
  std::filesystem::path beside = getLibraryFolder() / name;
  std::error_code code;
  std::string path = std::filesystem::exists(beside, code) ? beside.string() : name;
  // Never closed, and visible to all: Open MPI opens parts of itself, which look for the rest.
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  void *function = library ? dlsym(library, createMpiCommunicatorName) : nullptr;
  if (!function) {
    const char *reason = dlerror();
    return Error::failure(fmt::format("cannot open MPI (Debian: openmpi-bin): {}", reason ? reason : "unknown reason"));
  }
  std::string error;
  Communicator *communicator = reinterpret_cast<CreateMpiCommunicator>(function)(options, error);
  if (!communicator)
    return Error::failure(error);
  return std::unique_ptr<Communicator>(communicator);
}
