//===- IndexedTokens.cpp - Tokens of Megatron's indexed datasets ----------===//

#include "runtime/data/IndexFile.h"
#include "runtime/data/TokenSource.h"
#include "runtime/support/MappedFile.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fmt/format.h>
#include <vector>

using namespace primus::runtime;

namespace {

class IndexedTokens final : public TokenSource {
public:
  IndexedTokens(MappedFile indexFile, MappedFile tokenFile, IndexFile index);

  int64_t getNumTokens() const override { return starts.back(); }
  void read(int64_t begin, std::span<int32_t> out) const override;
  int64_t getSplitPosition(double fraction) const override;

private:
  MappedFile indexFile;
  MappedFile tokenFile;
  IndexFile index;
  /// The position of each sequence's first token, and of the end.
  std::vector<int64_t> starts;
};

} // namespace

IndexedTokens::IndexedTokens(MappedFile newIndexFile, MappedFile newTokenFile, IndexFile index)
    : indexFile(std::move(newIndexFile)), tokenFile(std::move(newTokenFile)), index(index) {
  int64_t numTokens = 0;
  starts.reserve(index.lengths.getSize() + 1);
  for (size_t i = 0; i < index.lengths.getSize(); ++i) {
    starts.push_back(numTokens);
    // Cannot overflow: each length is below 2^31, and their number fits into memory.
    numTokens += index.lengths[i];
  }
  starts.push_back(numTokens);
}

template <typename T>
static void readTokens(const char *data, std::span<int32_t> out) {
  PackedArray<T> tokens(data, out.size());
  for (size_t i = 0; i < out.size(); ++i) {
    T token = tokens[i];
    out[i] = std::in_range<int32_t>(token) ? static_cast<int32_t>(token) : -1;
  }
}

static void readTokens(TokenType type, const char *data, std::span<int32_t> out) {
  switch (type) {
  case TokenType::U8:
    return readTokens<uint8_t>(data, out);
  case TokenType::I8:
    return readTokens<int8_t>(data, out);
  case TokenType::I16:
    return readTokens<int16_t>(data, out);
  case TokenType::U16:
    return readTokens<uint16_t>(data, out);
  case TokenType::I32:
    return readTokens<int32_t>(data, out);
  case TokenType::I64:
    return readTokens<int64_t>(data, out);
  }
}

void IndexedTokens::read(int64_t begin, std::span<int32_t> out) const {
  size_t sequence = static_cast<size_t>(std::upper_bound(starts.begin(), starts.end(), begin) - starts.begin()) - 1;
  while (!out.empty()) {
    size_t count = std::min(out.size(), static_cast<size_t>(starts[sequence + 1] - begin));
    const char *data = tokenFile.getBytes().data() + index.offsets[sequence] +
                       static_cast<size_t>(begin - starts[sequence]) * getTokenBytes(index.type);
    readTokens(index.type, data, out.first(count));
    out = out.subspan(count);
    begin += static_cast<int64_t>(count);
    ++sequence;
  }
}

int64_t IndexedTokens::getSplitPosition(double fraction) const {
  if (index.documents.getSize() < 2)
    return TokenSource::getSplitPosition(fraction);
  // As Megatron rounds: half to even.
  double documents = static_cast<double>(index.documents.getSize() - 1);
  auto document = static_cast<size_t>(std::nearbyint(fraction * documents));
  return starts[static_cast<size_t>(index.documents[document])];
}

Expected<std::unique_ptr<TokenSource>> primus::runtime::openIndexed(const std::string &prefix) {
  for (const char *extension : {".idx", ".bin"}) {
    std::error_code code;
    if (!std::filesystem::exists(prefix + extension, code))
      return Error::configuration(fmt::format("there is no file '{}{}'; an indexed dataset is named by the path of its "
                                              ".bin and .idx files without the extension",
                                              prefix, extension));
  }
  Expected<MappedFile> indexFile = MappedFile::open(prefix + ".idx");
  if (!indexFile)
    return indexFile.takeError();
  Expected<MappedFile> tokenFile = MappedFile::open(prefix + ".bin");
  if (!tokenFile)
    return tokenFile.takeError();
  Expected<IndexFile> index = parseIndexFile(indexFile->getBytes(), tokenFile->getBytes().size());
  if (!index)
    return Error::failure(fmt::format("'{}.idx' {}", prefix, index.takeError().getMessage()));
  return std::unique_ptr<TokenSource>(
      std::make_unique<IndexedTokens>(std::move(*indexFile), std::move(*tokenFile), *index));
}
