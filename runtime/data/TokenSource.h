//===- TokenSource.h - A long row of tokens -------------------------------===//

#ifndef PRIMUS_RUNTIME_DATA_TOKENSOURCE_H
#define PRIMUS_RUNTIME_DATA_TOKENSOURCE_H

#include "runtime/support/Error.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace primus::runtime {

/// Tokens at positions [0, getNumTokens()), read at random. Immutable once opened.
class TokenSource {
public:
  virtual ~TokenSource() = default;

  virtual int64_t getNumTokens() const = 0;

  /// Writes the tokens from `begin` on, as many as `out` holds; they must exist. A value beyond int32 becomes -1.
  virtual void read(int64_t begin, std::span<int32_t> out) const = 0;

  /// Where the first `fraction` of the source's documents ends, as a token position. Sources without documents count
  /// tokens.
  virtual int64_t getSplitPosition(double fraction) const;

  /// Whether tokens are the bytes of a text.
  virtual bool isText() const { return false; }
};

/// The bytes of text files, one after the other; a folder stands for all files below it in the order of their paths.
/// Entries whose name starts with a dot and symbolic links are skipped in folders.
Expected<std::unique_ptr<TokenSource>> openText(std::span<const std::string> paths);

/// Tokens that are a function of the seed and their position only, uniform over the vocabulary.
std::unique_ptr<TokenSource> makeMock(uint64_t seed, int64_t vocabulary);

/// Megatron's indexed dataset: `prefix`.bin and `prefix`.idx.
Expected<std::unique_ptr<TokenSource>> openIndexed(const std::string &prefix);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_DATA_TOKENSOURCE_H
