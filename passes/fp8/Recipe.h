//===- Recipe.h - How operands of products are quantised ---------*- C++ -*-===//
//
// One recipe is one file of this folder, registered in RecipeTable.h and Recipe.cpp. Scales are computed by plain ops, so
// that a dump shows the formula.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "ir/graph/GraphBuilder.h"
#include "passes/fp8/RecipeTable.h"

#include <string>

namespace primus::fp8 {

/// An operand of a product that is to be quantised.
struct Operand {
  mlir::Value value;
  /// A letter per dimension, and those over which the product sums.
  std::string spec, contracted;
  /// A weight [out, in]; otherwise an activation or its gradient, whose first dimension are sequences.
  bool isWeight;
  mlir::FloatType type;
};

/// Quantised values, the factors of their blocks, and a letter per dimension.
struct Quantised {
  mlir::Value value, factor;
  std::string spec;
};

/// What all operands have in common.
struct Setting {
  graph::Fp8Attr attr;
  /// Ranks that have sequences of their own. Values of activations of different data ranks never share a scale.
  int64_t dataRanks = 1;
  /// The most parts in which ranks may have a dimension of an activation that is none of sequences, and of a weight.
  int64_t activationParts = 1, weightParts = 1;
};

/// How a recipe quantises an operand.
using Quantizer = Quantised (*)(mlir::OpBuilder &builder, const Setting &setting, const Operand &operand);

/// Null: scales are no function of the operand, but state (DelayedState.h).
Quantizer getQuantizer(graph::Fp8Recipe recipe);

//===----------------------------------------------------------------------===//
// The recipes
//===----------------------------------------------------------------------===//

Quantised quantizeTensorwise(mlir::OpBuilder &builder, const Setting &setting, const Operand &operand);
Quantised quantizeRowwise(mlir::OpBuilder &builder, const Setting &setting, const Operand &operand);
Quantised quantizeBlockwise(mlir::OpBuilder &builder, const Setting &setting, const Operand &operand);
Quantised quantizeMxfp8(mlir::OpBuilder &builder, const Setting &setting, const Operand &operand);

//===----------------------------------------------------------------------===//
// What recipes have in common
//===----------------------------------------------------------------------===//

/// The location of what is computed of an operand: its name and `suffix`.
mlir::Location getLoc(const Operand &operand, llvm::StringRef suffix);

/// The number of blocks along the dimension of an operand's sequences, if that is what `dim` is, else 1.
int64_t countGroups(const Setting &setting, const Operand &operand, int64_t dim);

/// The largest absolute value of each of `counts` blocks along each dimension; of all as a scalar for no counts. A block that ranks may share is divided
/// into parts first, of which each rank has whole ones, and then their few values are combined.
mlir::Value buildAmax(mlir::OpBuilder &builder, const Setting &setting, const Operand &operand,
                      llvm::ArrayRef<int64_t> counts);

/// Quantises by scales that make `amax` the largest value of the operand's type, divided by 2^margin; amax is raised to
/// 1e-12 for blocks of zeros.
Quantised quantizeByAmax(mlir::OpBuilder &builder, const Setting &setting, const Operand &operand, mlir::Value amax);

/// The operand with the contracted dimensions moved to the end.
Operand moveContractedLast(mlir::OpBuilder &builder, const Operand &operand);

/// How many blocks of `block` elements a dimension has; one where it is smaller.
int64_t countBlocks(int64_t size, int64_t block);

} // namespace primus::fp8
