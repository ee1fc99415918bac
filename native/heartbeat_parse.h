// From JavaScript's automata (src/core/automaton.ts) to the engine's, checked in full: whatever JavaScript
// passes, the engine gets a program whose every index is valid, or a TypeError says what is wrong with it.
#pragma once
#include <napi.h>

#include <memory>
#include <vector>

#include "program.h"

namespace firsthop {

// Each returns false with a pending TypeError.
bool parseProgram(Napi::Value value, std::shared_ptr<Program>* into);
bool parseOperations(Napi::Value value, const Program& program, const char* where, std::vector<Operation>* into);
bool parseKernelSteps(Napi::Value value, const char* where, KernelPlan* into);
bool parseBytes(Napi::Value value, const char* where, Bytes* into);

}  // namespace firsthop
