//===- ExecutableFile.cpp - Reading and writing .primus files -------------===//

#include "runtime/executable/ExecutableFile.h"

#include "runtime/executable/Validation.h"
#include "runtime/support/MappedFile.h"
#include "runtime/support/WriteFile.h"

#include <climits>
#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/logging.h>

using namespace primus;
using namespace primus::runtime;

uint64_t runtime::getCodeChecksum(std::string_view code) {
  uint64_t hash = 0xcbf29ce484222325;
  for (unsigned char byte : code)
    hash = (hash ^ byte) * 0x100000001b3;
  return hash;
}

std::string runtime::serializeExecutable(executable::Executable executable) {
  executable.set_format_version(executableFormatVersion);
  executable.set_code_checksum(getCodeChecksum(executable.code()));
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    // Otherwise the order of a map's entries changes from run to run.
    coded.SetSerializationDeterministic(true);
    executable.SerializeToCodedStream(&coded);
  }
  return bytes;
}

Expected<executable::Executable> runtime::parseExecutable(std::string_view bytes, const std::string &name) {
  executable::Executable executable;
  if (bytes.empty())
    return Error::failure(fmt::format("'{}' is empty, not an executable", name));
  if (bytes.size() > INT_MAX)
    return Error::failure(fmt::format("'{}' is larger than 2 GiB, which no executable is", name));
  // Our message replaces what the library would print about damaged strings.
  google::protobuf::LogSilencer silencer;
  if (!executable.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return Error::failure(fmt::format("'{}' is not an executable, or it is truncated or damaged", name));
  if (Error error = validateExecutable(executable))
    return Error::failure(fmt::format("'{}': {}", name, error.getMessage()));
  return executable;
}

Expected<executable::Executable> runtime::loadExecutable(const std::string &path) {
  Expected<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.takeError();
  return parseExecutable(file->getBytes(), path);
}

Error runtime::saveExecutable(const executable::Executable &executable, const std::string &path) {
  return writeFileAtomically(path, serializeExecutable(executable));
}
