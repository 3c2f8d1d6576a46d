# cmake -D OUTPUT=FILE.cpp -P EmbedPage.cmake    the files beside this one as strings of a C++ file
function(read_escaped result)
  set(all "")
  foreach(file ${ARGN})
    file(READ ${file} text)
    string(APPEND all "${text}")
  endforeach()
  # Compilers limit the length of one literal: one per line, which are joined.
  string(REPLACE "\\" "\\\\" all "${all}")
  string(REPLACE "\"" "\\\"" all "${all}")
  string(REPLACE "\n" "\\n\"\n\"" all "${all}")
  set(${result} "\"${all}\"" PARENT_SCOPE)
endfunction()

file(GLOB scripts ${CMAKE_CURRENT_LIST_DIR}/*.js)
list(SORT scripts)
read_escaped(page ${CMAKE_CURRENT_LIST_DIR}/page.html)
read_escaped(style ${CMAKE_CURRENT_LIST_DIR}/style.css)
read_escaped(script ${scripts})
file(WRITE ${OUTPUT} "#include \"frontend/dump/PageAssets.h\"

const llvm::StringRef primus::cli::assets::page = ${page};
const llvm::StringRef primus::cli::assets::style = ${style};
const llvm::StringRef primus::cli::assets::script = ${script};
")
