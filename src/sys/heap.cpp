#include "sys/heap.hpp"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace compose::sys {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kStep = std::size_t{256} << 20;  // address space alone: pages come with their first use
constexpr int kLargestChunk = 32 << 20;                       // the most that mallopt(3) takes

// The parts of the program that nobody can write to are as they are in the file.
int release_program(dl_phdr_info* info, std::size_t /*size*/, void* /*unused*/) {
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& part = info->dlpi_phdr[i];
    if (part.p_type != PT_LOAD || (part.p_flags & PF_W) != 0) continue;
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const std::uintptr_t begin = (info->dlpi_addr + part.p_vaddr) / page * page;
    const std::uintptr_t end = info->dlpi_addr + part.p_vaddr + part.p_filesz;
    ::madvise(reinterpret_cast<void*>(begin), (end - begin) / page * page, MADV_DONTNEED);
  }
  return 0;
}

}  // namespace

void prepare_heap() {
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_MMAP_THRESHOLD, kLargestChunk);
  ::mallopt(M_TRIM_THRESHOLD, static_cast<int>(2 * kStep));
  ::mallopt(M_TOP_PAD, static_cast<int>(kStep));
  // The break moves to the last page before a huge page first: malloc writes the size of its first chunk there before the
  // kernel has heard of huge pages, and a page once there as a small one stays small.
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto end = reinterpret_cast<std::uintptr_t>(::sbrk(0));
  const std::uintptr_t huge = (end + page + kHugePage - 1) / kHugePage * kHugePage;
  const std::uintptr_t start = huge - page;
  if (::sbrk(static_cast<std::intptr_t>(start - end)) == reinterpret_cast<void*>(-1)) return;
  // More than what is left of the heap that the program's own start took, freed at once: the space stays. Behind it
  // malloc writes the size of the rest, into the one huge page that will not be one: far from where most commands get.
  void* volatile first = ::malloc(kLargestChunk - kHugePage);  // volatile, or the compiler leaves both calls out
  ::free(first);
  const auto now = reinterpret_cast<std::uintptr_t>(::sbrk(0));
  if (now > huge) ::madvise(reinterpret_cast<void*>(huge), now - huge, MADV_HUGEPAGE);
}

void release_memory() {
  ::malloc_trim(0);
  ::dl_iterate_phdr(release_program, nullptr);
}

}  // namespace compose::sys
