// How daemons of one network namespace know about each other: a name that lives exactly as long as its holder
// and is seen exactly in the holder's namespace (an abstract socket), and a lock on files that they share.
#pragma once
#include <cstdint>
#include <string>

#include "util/unique_fd.h"

namespace firsthop::netlink {

// Takes a name; 0, or an error number (EADDRINUSE: it is taken).
int holdName(const std::string& name, UniqueFd& fd);

// Whether a process of this user, or of root, holds the name in this namespace. Names that others took do not count,
// so that they cannot keep us from cleaning up.
bool isNameHeld(const std::string& name);

// Locks a file or directory against other holders; 0, or an error number (EWOULDBLOCK: somebody has it).
int lockPath(const std::string& path, UniqueFd& fd);

// An identity of this thread's network namespace that is never used twice while the machine is up; 0 when the kernel
// (before 5.14) has none.
uint64_t namespaceCookie();

}  // namespace firsthop::netlink
