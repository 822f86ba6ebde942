#include "sys/heap.hpp"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace compose::sys {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kStep = std::size_t{256} << 20;  // address space alone: pages come with their first use

}  // namespace

void prepare_heap_for_command() {
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_MMAP_THRESHOLD, static_cast<int>(kStep));
  ::mallopt(M_TRIM_THRESHOLD, static_cast<int>(2 * kStep));
  ::mallopt(M_TOP_PAD, static_cast<int>(kStep));
  // The break moves to the next huge page first: what malloc asks for from now on begins there.
  const auto end = reinterpret_cast<std::uintptr_t>(::sbrk(0));
  const std::uintptr_t start = (end + kHugePage - 1) / kHugePage * kHugePage;
  if (::sbrk(static_cast<std::intptr_t>(start - end)) == reinterpret_cast<void*>(-1)) return;
  // Larger than what is left of the heap that the program's own start took; freed at once, the space stays.
  void* volatile first = ::malloc(kHugePage / 2);  // volatile, or the compiler leaves both calls out
  ::free(first);
  const auto now = reinterpret_cast<std::uintptr_t>(::sbrk(0));
  if (now > start) ::madvise(reinterpret_cast<void*>(start), now - start, MADV_HUGEPAGE);
}

void prepare_heap_for_service() { ::mallopt(M_ARENA_MAX, 1); }

void release_free_memory() { ::malloc_trim(0); }

}  // namespace compose::sys
