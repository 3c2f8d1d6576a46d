//===- FactorAssignment.h - Which axes split an op's factors -----*- C++ -*-===//
//
// One op: its sharding rule, the layouts that its operands have and the layouts that its results should have, if any.
// Pure: knows neither values nor passes.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/placement/Layout.h"

#include <variant>

namespace primus::placement {

/// What an operand brings.
struct OperandClaim {
  enum Strength {
    /// Can be made in any layout at no cost: a constant. Used where nothing else says how to split a factor.
    Soft,
    /// Moved where stronger claims want it.
    Value,
    /// Keeps how it is split: parameters and accumulators.
    Fixed
  };
  Layout layout;
  Strength strength = Value;
  /// An accumulator that nothing was added to yet: partial over whatever is added to it.
  bool openPartial = false;
};

/// The layout that a result should have.
struct ResultPin {
  Layout layout;
  enum Partial {
    /// The op may leave it partial over `layout.partial` or more, as its operands are.
    Open,
    /// Partial over exactly `layout.partial`.
    Exact
  } partial = Exact;
};

/// The layouts with which an op runs.
struct OpLayouts {
  llvm::SmallVector<Layout> operands, results;
};

/// Two operands that want to split an op in incompatible ways, neither with a better right.
struct Conflict {
  unsigned first, second;
  /// The axes that each wants for a factor (of its own, if they compete for an axis).
  Axes firstAxes, secondAxes;
};

/// Decides which axes split each factor:
///   1. operands that are fixed;
///   2. pins of results, as far as their axes are free;
///   3. the other operands: unsplit is weaker than split, a list is weaker than one that it is a prefix of, and an axis
///      that already splits another factor ends a list.
/// A list also ends where the factor's size does not divide. Splitting a reduced factor makes the results partial that
/// lack it. Partial operands stay so as far as the rule is linear in them, also where a pin would not have it: the sum
/// is then formed behind the op, once. Factors that are maximised instead of summed are not split.
std::variant<OpLayouts, Conflict> assignFactors(const graph::ShardingRule &rule, graph::MeshAttr mesh,
                                                llvm::ArrayRef<OperandClaim> operands,
                                                llvm::ArrayRef<std::optional<ResultPin>> pins);

/// The layouts of an op whose factors are split over `axes`; `partial`: the pending sums that pass through the op.
/// `partialOperands`: the operands that carry them.
OpLayouts getLayouts(const graph::ShardingRule &rule, graph::MeshAttr mesh, llvm::ArrayRef<Axes> axes,
                     llvm::ArrayRef<mlir::StringAttr> partial, llvm::ArrayRef<int64_t> partialOperands);

} // namespace primus::placement
