//===- KernelFile.cpp - A launch described by kernels/NAME.json -----------===//

#include "tests/emulator/KernelFile.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace llvm;
using namespace primus::emulator;

/// Bits of an element; 0 for an unknown type. Booleans take a byte.
static unsigned getBits(StringRef dtype) {
  return StringSwitch<unsigned>(dtype)
      .Cases({"f64", "i64"}, 64)
      .Cases({"f32", "i32"}, 32)
      .Cases({"f16", "bf16", "i16"}, 16)
      .Cases({"i8", "i1", "f8e4m3fn", "f8e4m3fnuz", "f8e5m2", "f8e5m2fnuz"}, 8)
      .Default(0);
}

uint64_t ArgumentDescription::getBytes() const {
  uint64_t last = 0;
  for (size_t dim = 0; dim < shape.size(); ++dim) {
    if (shape[dim] == 0)
      return 0;
    last += uint64_t(shape[dim] - 1) * uint64_t(strides[dim]);
  }
  return (last + 1) * getBits(dtype) / 8;
}

static bool parseSizes(const json::Value *value, std::vector<int64_t> &sizes) {
  const json::Array *array = value ? value->getAsArray() : nullptr;
  if (!array)
    return false;
  for (const json::Value &element : *array) {
    auto size = element.getAsInteger();
    if (!size || *size < 0)
      return false;
    sizes.push_back(*size);
  }
  return true;
}

static Expected<Dim3> parseDim3(const json::Object &object, StringRef key) {
  std::vector<int64_t> sizes;
  if (!parseSizes(object.get(key), sizes) || sizes.empty() || sizes.size() > 3 || any_of(sizes, [](int64_t size) { return size > INT32_MAX; }))
    return createStringError("'%s' must be one to three sizes", key.str().c_str());
  sizes.resize(3, 1);
  return Dim3{uint32_t(sizes[0]), uint32_t(sizes[1]), uint32_t(sizes[2])};
}

static Expected<ArgumentDescription> parseArgument(const json::Value &value, size_t index) {
  auto fail = [&](const char *what) { return createStringError("argument %zu: %s", index, what); };
  const json::Object *object = value.getAsObject();
  if (!object)
    return fail("not an object");
  ArgumentDescription argument;
  argument.kind = object->getString("kind").value_or("").str();
  auto offset = object->getInteger("offset");
  if (!offset || *offset < 0 || *offset > UINT16_MAX)
    return fail("'offset' must be a number of bytes");
  argument.offset = *offset;
  if (is_contained({"i32", "i64", "f32"}, argument.kind))
    return argument;
  if (argument.kind != "pointer")
    return fail("'kind' must be pointer, i32, i64 or f32");
  argument.dtype = object->getString("dtype").value_or("").str();
  if (!getBits(argument.dtype))
    return fail("'dtype' is not known");
  if (!parseSizes(object->get("shape"), argument.shape) || !parseSizes(object->get("strides"), argument.strides) ||
      argument.shape.size() != argument.strides.size())
    return fail("'shape' and 'strides' must be equally long lists of sizes");
  StringRef access = object->getString("access").value_or("");
  if (access != "r" && access != "w" && access != "rw")
    return fail("'access' must be r, w or rw");
  argument.access = access == "r" ? Access::Read : access == "w" ? Access::Write : Access::ReadWrite;
  return argument;
}

Expected<KernelFile> KernelFile::parse(StringRef text, StringRef codeObject) {
  auto value = json::parse(text);
  if (!value)
    return value.takeError();
  const json::Object *object = value->getAsObject();
  if (!object)
    return createStringError("not a JSON object");
  KernelFile file;
  file.symbol = object->getString("symbol").value_or("").str();
  file.definedBy = object->getString("defined_by").value_or("").str();
  auto lds = object->getInteger("lds_bytes");
  const json::Array *arguments = object->getArray("arguments");
  if (file.symbol.empty() || !lds || *lds < 0 || !arguments)
    return createStringError("'symbol', 'lds_bytes' and 'arguments' are needed");
  file.ldsBytes = *lds;
  auto grid = parseDim3(*object, "grid"), block = parseDim3(*object, "block");
  if (!grid || !block)
    return joinErrors(grid ? Error::success() : grid.takeError(), block ? Error::success() : block.takeError());
  file.grid = *grid;
  file.block = *block;
  for (auto [index, argument] : enumerate(*arguments)) {
    auto parsed = parseArgument(argument, index);
    if (!parsed)
      return parsed.takeError();
    file.arguments.push_back(std::move(*parsed));
  }
  auto loaded = CodeObject::load(codeObject);
  if (!loaded)
    return loaded.takeError();
  file.object = std::move(*loaded);
  const KernelInfo *kernel = file.object.findKernel(file.symbol);
  if (!kernel)
    return createStringError("the code object has no kernel '%s'", file.symbol.c_str());
  if (kernel->ldsBytes != file.ldsBytes)
    return createStringError("'lds_bytes' is %u, but the kernel has %u", file.ldsBytes, kernel->ldsBytes);
  std::vector<ArgumentInfo> visible;
  copy_if(kernel->arguments, std::back_inserter(visible), [](const ArgumentInfo &a) { return !StringRef(a.kind).starts_with("hidden_"); });
  if (visible.size() != file.arguments.size())
    return createStringError("%zu arguments are described, but the kernel has %zu", file.arguments.size(), visible.size());
  for (auto [index, described, actual] : enumerate(file.arguments, visible))
    if (described.offset != actual.offset)
      return createStringError("argument %zu is described at byte %u, but lies at %u", index, described.offset, actual.offset);
  return file;
}

Expected<KernelFile> KernelFile::load(StringRef jsonPath) {
  SmallString<128> codePath(jsonPath);
  sys::path::replace_extension(codePath, "hsaco");
  auto text = MemoryBuffer::getFile(jsonPath), code = MemoryBuffer::getFile(codePath);
  if (!text)
    return createStringError(text.getError(), "cannot read '%s'", jsonPath.str().c_str());
  if (!code)
    return createStringError(code.getError(), "cannot read '%s'", codePath.c_str());
  auto file = parse((*text)->getBuffer(), (*code)->getBuffer());
  if (!file)
    return createStringError("%s: %s", jsonPath.str().c_str(), toString(file.takeError()).c_str());
  return file;
}

Expected<Statistics> KernelFile::run(ArrayRef<KernelArgument> given, const LaunchOptions &options) const {
  if (given.size() != arguments.size())
    return createStringError("%s: has %zu arguments, but %zu are given", symbol.c_str(), arguments.size(), given.size());
  std::vector<KernelArgument> checked(given);
  for (auto [index, described, argument] : enumerate(arguments, checked)) {
    if ((described.kind == "pointer") != (argument.buffer != nullptr))
      return createStringError("%s: argument %zu must be of kind %s", symbol.c_str(), index, described.kind.c_str());
    if (!argument.buffer)
      continue;
    if (argument.buffer->data.size() != described.getBytes())
      return createStringError("%s: argument %zu takes %llu bytes, but the buffer has %zu", symbol.c_str(), index,
                               static_cast<unsigned long long>(described.getBytes()), argument.buffer->data.size());
    argument.access = described.access;
  }
  return launch(object, symbol, grid, block, checked, options);
}
