//===- HtmlPageTest.cpp - A dump as one page ------------------------------===//

#include "frontend/dump/HtmlPage.h"

#include "passes/Pipeline.h"

#include "gtest/gtest.h"

using namespace primus;
using namespace primus::cli;

namespace {

TEST(HtmlPageTest, NoTextEndsTheData) {
  nlohmann::ordered_json value = {{"a</script><script>alert(1)</script>", "<!-- <script> ]]> & \xE2\x80\xA8 {{data}}"}};
  std::string text = escapeForScript(value);
  EXPECT_EQ(text.find_first_of("<>&"), std::string::npos) << text;
  EXPECT_EQ(nlohmann::ordered_json::parse(text), value);
}

TEST(HtmlPageTest, BrokenCharactersAreReplaced) {
  std::string text = escapeForScript({{"name", "\xff\xfe"}});
  EXPECT_TRUE(nlohmann::ordered_json::accept(text)) << text;
}

TEST(HtmlPageTest, DataStandInOnePlaceAndAreNotTemplates) {
  HtmlPage page;
  EXPECT_TRUE(page.isEmpty());
  page.addText(*findPhase("spec"), "{{style}} </script> {{data}}");
  EXPECT_FALSE(page.isEmpty());
  spec::TrainingSpec spec;
  spec.mutable_model()->set_name("<b>");
  CompileOptions options;
  options.config.overrides = {"bf16=false", "data_path=/home/someone/data"};
  page.setFacts(spec, options);
  std::string html = page.render({});
  size_t begin = html.find("id=\"data\">"), end = html.find("</script>", begin);
  ASSERT_NE(end, std::string::npos);
  begin += std::string("id=\"data\">").size();
  auto data = nlohmann::ordered_json::parse(html.substr(begin, end - begin));
  EXPECT_EQ(data["texts"][0][0], "{{style}} </script> {{data}}");
  EXPECT_EQ(data["facts"]["model"], "<b>");
  EXPECT_EQ(data["facts"]["command line"], "bf16=false");
  EXPECT_EQ(data["phases"][0]["name"], "spec");
  EXPECT_TRUE(data["memory"].is_null());
  // Nothing is loaded from elsewhere.
  EXPECT_NE(html.find("default-src 'none'"), std::string::npos);
  for (const char *source : {"https:", "src=", "@import", "url("})
    EXPECT_EQ(html.find(source), std::string::npos) << source;
}

} // namespace
