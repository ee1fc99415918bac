// A test is a function; a failed CHECK says where and ends the process.
#pragma once
#include <cstdio>
#include <cstdlib>

#define CHECK(condition)                                                               \
  do {                                                                                 \
    if (!(condition)) {                                                                \
      std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);     \
      std::exit(1);                                                                    \
    }                                                                                  \
  } while (false)

#define TEST(name)                                    \
  do {                                                \
    std::fprintf(stderr, "  %s\n", #name);            \
    name();                                           \
  } while (false)
