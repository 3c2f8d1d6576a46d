//===- AsmDirectives.h - Custom directives of the dialects' assembly -*- C++ -*-===//
//
// `custom<PlainEnum>` prints an enum as a bare keyword, `custom<PlainFloat>` a float without its type. Included inside
// each dialect's namespace by the file that includes the ops' definitions, because that is where generated code looks
// them up.
//
//===----------------------------------------------------------------------===//

template <typename AttrT> static ParseResult parsePlainEnum(OpAsmParser &parser, AttrT &attribute) {
  using EnumT = decltype(std::declval<AttrT>().getValue());
  auto value = FieldParser<EnumT>::parse(parser);
  if (failed(value))
    return failure();
  attribute = AttrT::get(parser.getContext(), *value);
  return success();
}

template <typename AttrT> static void printPlainEnum(OpAsmPrinter &printer, Operation *, AttrT attribute) {
  using EnumT = decltype(std::declval<AttrT>().getValue());
  EnumT value = attribute.getValue();
  printer << stringifyEnum(value);
}

[[maybe_unused]] static ParseResult parsePlainFloat(OpAsmParser &parser, FloatAttr &attribute) {
  return parser.parseAttribute(attribute, parser.getBuilder().getF64Type());
}

[[maybe_unused]] static void printPlainFloat(OpAsmPrinter &printer, Operation *, FloatAttr attribute) {
  printer.printAttributeWithoutType(attribute);
}
