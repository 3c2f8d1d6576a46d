//===- SpecWriter.cpp - Fields of a TrainingSpec with their sources -------===//

#include "frontend/config/SpecWriter.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>

#include <cstdio>
#include <cstdlib>

namespace primus::config {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

/// The message that holds a field, and the field.
struct Place {
  Message *message;
  const FieldDescriptor *field;
};

[[noreturn]] static void badPath(const std::string &path) {
  fmt::print(stderr, "primus: defect: TrainingSpec has no field '{}' of that type\n", path);
  std::abort();
}

/// Follows a path; a repeated message grows to the index that is named.
static Place findPlace(spec::TrainingSpec &spec, const std::string &path) {
  Message *message = &spec;
  for (size_t begin = 0;;) {
    size_t end = std::min(path.find('.', begin), path.size());
    std::string part = path.substr(begin, end - begin);
    size_t bracket = part.find('[');
    const FieldDescriptor *field = message->GetDescriptor()->FindFieldByName(part.substr(0, bracket));
    if (!field)
      badPath(path);
    if (end == path.size())
      return {message, field};
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE)
      badPath(path);
    const google::protobuf::Reflection &reflection = *message->GetReflection();
    if (bracket == std::string::npos) {
      message = reflection.MutableMessage(message, field);
    } else {
      int index = std::atoi(part.c_str() + bracket + 1);
      while (reflection.FieldSize(*message, field) <= index)
        reflection.AddMessage(message, field);
      message = reflection.MutableRepeatedMessage(message, field, index);
    }
    begin = end + 1;
  }
}

std::string printField(const spec::TrainingSpec &spec, const std::string &path) {
  // findPlace adds what is missing, so it works on a copy.
  spec::TrainingSpec copy = spec;
  auto [message, field] = findPlace(copy, path);
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  std::string text;
  if (!field->is_repeated()) {
    printer.PrintFieldValueToString(*message, field, -1, &text);
    return text;
  }
  for (int i = 0; i < message->GetReflection()->FieldSize(*message, field); ++i) {
    std::string element;
    printer.PrintFieldValueToString(*message, field, i, &element);
    text += (i ? ", " : "") + element;
  }
  return "[" + text + "]";
}

void SpecWriter::note(const std::string &path, const Origin &origin) {
  spec::Source &source = *spec.add_sources();
  source.set_field(path);
  source.set_key(origin.key);
  source.set_file(origin.location.fileName());
  source.set_line(origin.location.line);
  source.set_column(origin.location.column);
  source.set_layer(layerName(origin.location.layer));
}

void SpecWriter::set(const std::string &path, const Setting<bool> &setting) {
  auto [message, field] = findPlace(spec, path);
  if (field->cpp_type() != FieldDescriptor::CPPTYPE_BOOL)
    badPath(path);
  message->GetReflection()->SetBool(message, field, setting.value);
  note(path, setting.origin);
}

void SpecWriter::set(const std::string &path, const Setting<int64_t> &setting) {
  auto [message, field] = findPlace(spec, path);
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_INT64)
    message->GetReflection()->SetInt64(message, field, setting.value);
  else if (field->cpp_type() == FieldDescriptor::CPPTYPE_UINT64)
    message->GetReflection()->SetUInt64(message, field, static_cast<uint64_t>(setting.value));
  else
    badPath(path);
  note(path, setting.origin);
}

void SpecWriter::set(const std::string &path, const Setting<double> &setting) {
  auto [message, field] = findPlace(spec, path);
  if (field->cpp_type() != FieldDescriptor::CPPTYPE_DOUBLE)
    badPath(path);
  message->GetReflection()->SetDouble(message, field, setting.value);
  note(path, setting.origin);
}

void SpecWriter::set(const std::string &path, const Setting<std::string> &setting) {
  auto [message, field] = findPlace(spec, path);
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    const google::protobuf::EnumValueDescriptor *value = field->enum_type()->FindValueByName(setting.value);
    if (!value)
      badPath(path + " = " + setting.value);
    message->GetReflection()->SetEnum(message, field, value);
  } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    message->GetReflection()->SetString(message, field, setting.value);
  } else {
    badPath(path);
  }
  note(path, setting.origin);
}

void SpecWriter::set(const std::string &path, const Setting<std::vector<std::string>> &setting) {
  auto [message, field] = findPlace(spec, path);
  if (!field->is_repeated() || field->cpp_type() != FieldDescriptor::CPPTYPE_STRING)
    badPath(path);
  for (const std::string &element : setting.value)
    message->GetReflection()->AddString(message, field, element);
  note(path, setting.origin);
}

void SpecWriter::set(const std::string &path, const Setting<std::vector<int64_t>> &setting) {
  auto [message, field] = findPlace(spec, path);
  if (!field->is_repeated() || field->cpp_type() != FieldDescriptor::CPPTYPE_INT64)
    badPath(path);
  for (int64_t element : setting.value)
    message->GetReflection()->AddInt64(message, field, element);
  note(path, setting.origin);
}

} // namespace primus::config
