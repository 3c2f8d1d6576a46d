//===- Blocks.h - The building blocks of a decoder ---------------*- C++ -*-===//
//
// Each block adds its ops and asks for its parameters in a LayerFunction. Shapes: activations are [batch, tokens, width], weights
// [out, in].
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/config/TrainingSpec.pb.h"
#include "frontend/models/LayerFunction.h"

namespace primus::models {

/// Sizes that all blocks share.
struct Dimensions {
  /// Sequences of one microbatch over all data ranks, tokens of one sequence, elements of the residual stream.
  int64_t batch, tokens, width;
  /// Ranks of context parallelism. With more than one, tokens are stored in the order of getContextPosition
  /// (runtime/init), and what depends on a position reads it from a constant.
  int64_t contextRanks;
  /// Initial values of all matrices.
  spec::Initialization init;
};

/// y = x weight^T + bias. `prefix` names the parameters, `dims` are the logical dimensions of the weight: what the outputs
/// and the inputs are. Outputs that are "" belong to the residual stream.
mlir::Value buildLinear(LayerFunction &f, mlir::Value x, const llvm::Twine &prefix, int64_t outputs, LogicalDims dims,
                        const spec::WeightInit &init, bool bias);

/// The norm, or x itself where the kind is NORM_NONE.
mlir::Value buildNorm(LayerFunction &f, mlir::Value x, const spec::Norm &norm, const llvm::Twine &prefix);

mlir::Value buildAttention(LayerFunction &f, mlir::Value x, const spec::Attention &attention, const Dimensions &dims);
mlir::Value buildFeedForward(LayerFunction &f, mlir::Value x, const spec::FeedForward &block, const Dimensions &dims);

/// Token (and position) embedding of i32 tokens [batch, tokens].
mlir::Value buildEmbedding(LayerFunction &f, mlir::Value tokens, const spec::Embedding &embedding, const Dimensions &dims);

/// A whole decoder layer, residual connections included.
mlir::Value buildLayer(LayerFunction &f, mlir::Value x, const spec::Layer &layer, const Dimensions &dims);

/// x times a constant (x itself where the factor is 0 or 1, the proto's default).
mlir::Value buildScale(LayerFunction &f, mlir::Value x, double factor);

/// Rotation frequencies of a head, one per pair, with the scaling of long contexts applied, in double precision.
/// Su et al. 2021 (arXiv 2104.09864); llama3: Grattafiori et al. 2024 (arXiv 2407.21783).
std::vector<double> ropeFrequencies(const spec::Rope &rope);

} // namespace primus::models
