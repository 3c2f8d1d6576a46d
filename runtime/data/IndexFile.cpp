//===- IndexFile.cpp - Megatron's .idx files ------------------------------===//

#include "runtime/data/IndexFile.h"

#include <fmt/format.h>

using namespace primus::runtime;

size_t primus::runtime::getTokenBytes(TokenType type) {
  switch (type) {
  case TokenType::U8:
  case TokenType::I8:
    return 1;
  case TokenType::I16:
  case TokenType::U16:
    return 2;
  case TokenType::I32:
    return 4;
  case TokenType::I64:
    return 8;
  }
  return 0;
}

/// Finds the arrays by the counts in the header, each compared with the file's size before it is multiplied.
static Expected<IndexFile> findArrays(std::string_view bytes) {
  constexpr std::string_view magic("MMIDIDX\0\0", 9);
  constexpr size_t fixedBytes = 9 + 8 + 1 + 8;
  if (bytes.size() < fixedBytes || !bytes.starts_with(magic))
    return Error::failure("is not an index of Megatron's MMIDIDX format, or it is truncated");
  auto readInteger = [&](size_t position) {
    uint64_t value;
    std::memcpy(&value, bytes.data() + position, sizeof(value));
    return value;
  };
  if (readInteger(9) != 1)
    return Error::failure(fmt::format("has version {}, this program reads version 1", readInteger(9)));
  IndexFile index;
  auto code = static_cast<uint8_t>(bytes[17]);
  index.type = static_cast<TokenType>(code);
  if (getTokenBytes(index.type) == 0)
    return Error::failure(fmt::format("has tokens of data type code {}, which is no integer type", code));

  constexpr size_t sequenceBytes = sizeof(int32_t) + sizeof(int64_t);
  uint64_t sequences = readInteger(18);
  size_t rest = bytes.size() - fixedBytes;
  if (sequences > rest / sequenceBytes)
    return Error::failure(fmt::format("is truncated: {} sequences do not fit into {} bytes", sequences, bytes.size()));
  rest -= sequences * sequenceBytes;
  size_t position = fixedBytes;
  uint64_t documents = 0;
  if (rest != 0) {
    if (rest < sizeof(uint64_t))
      return Error::failure("is truncated: the number of documents is missing");
    documents = readInteger(fixedBytes);
    position += sizeof(uint64_t);
    rest -= sizeof(uint64_t);
    if (documents > rest / sizeof(int64_t))
      return Error::failure(
          fmt::format("is truncated: {} document boundaries do not fit into {} bytes", documents, bytes.size()));
    rest -= documents * sizeof(int64_t);
    if (rest != 0 && rest != sequences)
      return Error::failure(fmt::format("has {} bytes too many", rest));
  }
  index.lengths = {bytes.data() + position, sequences};
  position += sequences * sizeof(int32_t);
  index.offsets = {bytes.data() + position, sequences};
  position += sequences * sizeof(int64_t);
  index.documents = {bytes.data() + position, documents};
  return index;
}

static Error checkSequences(const IndexFile &index, uint64_t tokenFileBytes) {
  uint64_t tokenBytes = getTokenBytes(index.type);
  for (size_t i = 0; i < index.lengths.getSize(); ++i) {
    int32_t length = index.lengths[i];
    int64_t offset = index.offsets[i];
    if (length < 0 || offset < 0 || static_cast<uint64_t>(offset) > tokenFileBytes ||
        static_cast<uint64_t>(length) > (tokenFileBytes - static_cast<uint64_t>(offset)) / tokenBytes)
      return Error::failure(fmt::format("is damaged or belongs to another .bin file: sequence {} of {} tokens at byte "
                                        "{} lies outside the .bin file of {} bytes",
                                        i, length, offset, tokenFileBytes));
  }
  return Error::success();
}

static Error checkDocuments(const IndexFile &index) {
  int64_t previous = 0;
  for (size_t i = 0; i < index.documents.getSize(); ++i) {
    int64_t first = index.documents[i];
    if (first < previous || static_cast<uint64_t>(first) > index.lengths.getSize())
      return Error::failure(fmt::format("is damaged: document boundary {} is sequence {}, which is out of order or "
                                        "beyond {}",
                                        i, first, index.lengths.getSize()));
    previous = first;
  }
  return Error::success();
}

Expected<IndexFile> primus::runtime::parseIndexFile(std::string_view bytes, uint64_t tokenFileBytes) {
  Expected<IndexFile> index = findArrays(bytes);
  if (!index)
    return index;
  if (Error error = checkSequences(*index, tokenFileBytes))
    return error;
  if (Error error = checkDocuments(*index))
    return error;
  return index;
}
