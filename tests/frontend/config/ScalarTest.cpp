//===- ScalarTest.cpp - Which text is which scalar ------------------------===//

#include "frontend/config/yaml/Scalar.h"

#include "tests/frontend/config/ConfigTestHelper.h"

using namespace primus::config;

namespace {

/// A text and what it becomes: JSON of the value.
struct Case {
  const char *text;
  const char *value;
};

using Reader = Value (*)(const std::string &, Diagnostics &);

void check(Reader read, std::initializer_list<Case> cases) {
  for (const Case &c : cases) {
    Diagnostics diagnostics;
    EXPECT_EQ(read(c.text, diagnostics).str(), c.value) << "for '" << c.text << "'";
    EXPECT_TRUE(diagnostics.empty()) << diagnostics.str();
  }
}

TEST(Scalar, PlainScalarsAreTypedAsInYaml11) {
  check([](const std::string &text, Diagnostics &diagnostics) { return plainScalar(text, {}, diagnostics); },
        {{"", "null"},
         {"~", "null"},
         {"null", "null"},
         {"NULL", "null"},
         {"nULL", "\"nULL\""},
         {"yes", "true"},
         {"No", "false"},
         {"ON", "true"},
         {"off", "false"},
         {"oFF", "\"oFF\""},
         {"true", "true"},
         {"False", "false"},
         {"y", "\"y\""},
         {"12", "12"},
         {"-12", "-12"},
         {"+12", "12"},
         {"1_000", "1000"},
         {"010", "8"},
         {"0x1F", "31"},
         {"0b101", "5"},
         {"08", "\"08\""},
         {"190:20:30", "685230"},
         {"1:99", "\"1:99\""},
         {"1.0", "1.0"},
         {"1.", "1.0"},
         {".5", "0.5"},
         {"1.5e+3", "1500.0"},
         {"1e-5", "1e-05"},
         {"1.0e5", "100000.0"},
         {"-1_0.5", "-10.5"},
         {".inf", "\".inf\""},
         {"-.INF", "\"-.inf\""},
         {".nan", "\".nan\""},
         {"1e", "\"1e\""},
         {"1.2.3", "\"1.2.3\""},
         {"0.0.0", "\"0.0.0\""},
         {"abc", "\"abc\""},
         {"-", "\"-\""},
         {"9223372036854775807", "9223372036854775807"}});
}

TEST(Scalar, SubstitutedTextIsTypedAsAWhole) {
  check([](const std::string &text, Diagnostics &diagnostics) { return substitutedScalar(text, {}, diagnostics); },
        {{"42", "42"},           {"a42b", "\"a42b\""},   {"1e-5", "1e-05"},    {".5", "0.5"},
         {"-5", "-5"},           {"007", "7"},           {"true", "true"},     {"TRUE", "true"},
         {"True ", "\"True \""}, {"+5", "\"+5\""},       {"0x10", "\"0x10\""}, {"1_000", "\"1_000\""},
         {"inf", "\"inf\""},     {"yes", "\"yes\""},     {" 5", "\" 5\""},     {"null", "\"null\""},
         {"None", "\"None\""},   {"[1,2]", "\"[1,2]\""}, {"", "\"\""},         {"a:b", "\"a:b\""}});
}

TEST(Scalar, CommandLineValues) {
  check([](const std::string &text, Diagnostics &diagnostics) { return commandLineScalar(text, {}, diagnostics); },
        {{"true", "true"},
         {"False", "false"},
         {"None", "null"},
         {"null", "\"null\""},
         {"5", "5"},
         {"+5", "5"},
         {"-5", "-5"},
         {"1_000", "1000"},
         {"1e-5", "1e-05"},
         {"1.0e-5", "1e-05"},
         {"0.5", "0.5"},
         {"a.b", "\"a.b\""},
         {"'x'", "\"'x'\""},
         {"[1, 2.5,'a']", "[1,2.5,\"a\"]"},
         {"(1,2)", "[1,2]"},
         {"(1)", "1"},
         {"{'a': True, 'b': None}", "{\"a\":true,\"b\":null}"},
         {"[1", "\"[1\""},
         {"([0]*3+[1])", "\"([0]*3+[1])\""},
         {"", "\"\""},
         {"a b", "\"a b\""},
         {"1__0", "\"1__0\""}});
}

TEST(Scalar, TooLargeIntegersAreErrors) {
  Diagnostics diagnostics;
  plainScalar("9223372036854775808", {}, diagnostics);
  EXPECT_EQ(
      diagnostics.str(),
      "default: error: the integer 9223372036854775808 does not fit in 64 bits; write a smaller value, or quote it "
      "if text is meant\n");
}

} // namespace
