//===- CompiledFunction.h - A graph function as compiled kernels -*- C++ -*-===//

#pragma once

#include "codegen/cpu/CpuTarget.h"
#include "runtime/devices/cpu/SharedObject.h"

#include "mlir/IR/BuiltinTypes.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace primus::bench {

/// Memory that starts at a page, as the runtime's arena does.
class Buffer {
public:
  explicit Buffer(size_t bytes);
  char *data() const { return memory.get(); }

private:
  struct Free {
    void operator()(char *pointer) const { std::free(pointer); }
  };
  std::unique_ptr<char, Free> memory;
};

/// A layer function that has gone through fusion, packing and the CPU code generator: what the compiler makes of it in a model.
class CompiledFunction {
public:
  /// `source` is a module with one function @f, whose body needs no views of buffers. Ends the program on an error, which the compiler
  /// has printed.
  CompiledFunction(const std::string &source, const codegen::CpuTarget &target);

  unsigned numInputs() const { return inputs; }
  char *input(unsigned index) const { return buffers[index].data(); }
  char *output() const { return buffers[outputBuffer].data(); }
  /// Kernels in the order of their launches.
  unsigned numLaunches() const { return launches.size(); }
  void runLaunch(unsigned index) const;
  void run() const;

private:
  struct Launch {
    void (*function)(void *const *arguments, int64_t begin, int64_t end);
    std::vector<void *> arguments;
    int64_t instances;
  };
  unsigned inputs = 0, outputBuffer = 0;
  std::vector<Buffer> buffers;
  std::vector<Launch> launches;
  std::optional<runtime::SharedObject> code;
};

} // namespace primus::bench
