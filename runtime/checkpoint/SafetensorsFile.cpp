//===- SafetensorsFile.cpp - Reading safetensors files --------------------===//

#include "runtime/checkpoint/SafetensorsFile.h"

#include <fmt/format.h>

using namespace primus::runtime;

SafetensorsFile::SafetensorsFile(std::string path, MappedFile file, SafetensorsHeader header)
    : path(std::move(path)), file(std::move(file)), header(std::move(header)) {
  for (size_t i = 0; i < this->header.tensors.size(); ++i)
    byName[this->header.tensors[i].name] = i;
}

Expected<SafetensorsFile> SafetensorsFile::open(const std::string &path) {
  Expected<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.takeError();
  Expected<SafetensorsHeader> header = parseSafetensors(file->getBytes());
  if (!header)
    return Error::failure(fmt::format("'{}' {}", path, header.takeError().getMessage()));
  return SafetensorsFile(path, std::move(*file), std::move(*header));
}

const StoredTensor *SafetensorsFile::find(const std::string &name) const {
  auto it = byName.find(name);
  return it == byName.end() ? nullptr : &header.tensors[it->second];
}

std::span<const std::byte> SafetensorsFile::getBytes(const StoredTensor &tensor) const {
  std::string_view bytes = file.getBytes().substr(header.dataBegin + tensor.begin, tensor.end - tensor.begin);
  return std::as_bytes(std::span(bytes));
}

void SafetensorsFile::release(const StoredTensor &tensor) const {
  file.release(file.getBytes().substr(header.dataBegin + tensor.begin, tensor.end - tensor.begin));
}
