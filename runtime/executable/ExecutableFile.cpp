//===- ExecutableFile.cpp - Reading and writing .primus files -------------===//

#include "runtime/executable/ExecutableFile.h"

#include "runtime/executable/Validation.h"
#include "runtime/support/Checksum.h"
#include "runtime/support/MappedFile.h"
#include "runtime/support/WriteFile.h"

#include <climits>
#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/logging.h>

using namespace primus;
using namespace primus::runtime;
using executable::Executable;

/// A file ends with its field `checksum`: the field's tag, then 4 bytes, little-endian.
static constexpr std::string_view checksumTag("\x85\x01", 2);
static constexpr size_t sealBytes = checksumTag.size() + sizeof(uint32_t);
static_assert(Executable::kChecksumFieldNumber == 16, "its tag is 16 << 3 | 5 as a varint");

static std::string makeSeal(std::string_view bytes) {
  uint32_t checksum = addToChecksum(0, bytes);
  return std::string(checksumTag) + std::string(reinterpret_cast<const char *>(&checksum), sizeof(checksum));
}

std::string runtime::serializeExecutable(Executable executable) {
  executable.set_format_version(executableFormatVersion);
  executable.clear_checksum();
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    // Otherwise the order of a map's entries changes from run to run.
    coded.SetSerializationDeterministic(true);
    executable.SerializeToCodedStream(&coded);
  }
  return bytes + makeSeal(bytes);
}

/// Parses, without a look at what it says.
static Expected<Executable> parseMessage(std::string_view bytes, const std::string &name) {
  Executable executable;
  if (bytes.empty())
    return Error::failure(fmt::format("'{}' is empty, not an executable", name));
  if (bytes.size() > INT_MAX)
    return Error::failure(fmt::format("'{}' is larger than 2 GiB, which no executable is", name));
  // Our message replaces what the library would print about damaged strings.
  google::protobuf::LogSilencer silencer;
  if (!executable.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return Error::failure(fmt::format("'{}' is not an executable, or it is truncated or damaged", name));
  return executable;
}

static Expected<Executable> validate(Executable executable, const std::string &name) {
  if (Error error = validateExecutable(executable))
    return Error::failure(fmt::format("'{}': {}", name, error.getMessage()));
  return executable;
}

Expected<Executable> runtime::parseUnsealedExecutable(std::string_view bytes, const std::string &name) {
  Expected<Executable> executable = parseMessage(bytes, name);
  if (!executable)
    return executable;
  return validate(std::move(*executable), name);
}

Expected<Executable> runtime::parseExecutable(std::string_view bytes, const std::string &name) {
  Expected<Executable> executable = parseMessage(bytes, name);
  if (!executable)
    return executable;
  // Another version may be sealed in another way, so that it is judged first.
  bool isSealed = bytes.size() >= sealBytes && bytes.ends_with(makeSeal(bytes.substr(0, bytes.size() - sealBytes)));
  if (executable->format_version() == executableFormatVersion && !isSealed)
    return Error::failure(fmt::format("'{}' is truncated or damaged: its checksum does not match", name));
  return validate(std::move(*executable), name);
}

Expected<Executable> runtime::loadExecutable(const std::string &path) {
  Expected<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.takeError();
  return parseExecutable(file->getBytes(), path);
}

Error runtime::saveExecutable(const Executable &executable, const std::string &path) {
  return writeFileAtomically(path, serializeExecutable(executable));
}
