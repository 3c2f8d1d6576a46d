//===- Costs.h - What a module costs to run -----------------------*- C++ -*-===//

#pragma once

#include "frontend/config/TrainingSpec.pb.h"
#include "ir/graph/GraphDialect.h"

#include "llvm/ADT/DenseMap.h"

namespace primus::cli {

/// Bytes of a tensor or buffer; zero for other types. An i1 takes a byte.
int64_t getBytes(mlir::Type type);
int64_t sumBytes(mlir::TypeRange types);

/// How fast a rank computes and exchanges, by the figures of its hardware. Nodes are taken to be groups of as many devices as
/// one has links, and itself, each linked with each, and ranks to fill node after node.
class DeviceRates {
public:
  DeviceRates(const spec::Hardware &hardware, graph::MeshAttr mesh) : hardware(hardware), mesh(mesh) {}

  /// Whether the hardware says enough. Otherwise a second is what one operation takes, and all else takes none.
  bool areKnown() const { return hardware.f32_flops() > 0 && hardware.memory_bandwidth() > 0; }
  /// Of a kernel, whose matrix products, if any, have operands of type `element`; null: it has none.
  double getKernelSeconds(double flops, double bytes, mlir::Type element) const;
  /// Of a collective in which a rank sends so much to the others of its group over `axes` of the mesh.
  double getCollectiveSeconds(double bytes, mlir::ArrayAttr axes) const;
  /// Of a message to the next rank along an axis.
  double getMessageSeconds(double bytes, llvm::StringRef axis) const;

private:
  /// How far apart neighbours along an axis are.
  int64_t getStride(llvm::StringRef axis) const;
  double getSeconds(double bytes, bool isInNode, int64_t links) const;

  spec::Hardware hardware;
  graph::MeshAttr mesh;
};

/// Of one run of something on a rank. Doubles: whole steps of large models have more operations than 64 bits can count.
struct RunCost {
  double flops = 0, bytes = 0;
  /// If there are rates: each kernel takes its operations' or its bytes' time, whichever is longer, one after the other in the block's order; so do the
  /// collectives over the same axes, beside the kernels, from when what they need is there. Whoever calls a function waits for all of it.
  double seconds = 0;

  RunCost &operator+=(const RunCost &other);
  RunCost operator*(double times) const { return {flops * times, bytes * times, seconds * times}; }
};

/// Costs of running functions, each function counted once and then remembered. Before `fused` each op moves its operands
/// and results through memory, from `fused` on each kernel does.
class CostCounter {
public:
  explicit CostCounter(mlir::ModuleOp module, std::optional<DeviceRates> rates = std::nullopt)
      : symbols(module), rates(std::move(rates)) {}
  RunCost count(mlir::Block &block);
  RunCost count(mlir::Operation &op);

private:
  /// Seconds that a block takes, if its ops take so many.
  static double findLength(mlir::Block &block, llvm::ArrayRef<double> seconds);
  RunCost countCall(llvm::StringRef callee);
  /// Without calls and loops.
  RunCost countOne(mlir::Operation &op);

  mlir::SymbolTable symbols;
  std::optional<DeviceRates> rates;
  llvm::DenseMap<mlir::Operation *, RunCost> known;
};

} // namespace primus::cli
