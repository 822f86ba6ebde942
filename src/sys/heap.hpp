#pragma once
// How a process of ours uses its heap. Page faults are what short commands spend most of their time on, above all on
// virtual machines, where one costs up to ten microseconds.

namespace compose::sys {

/// The heap grows in large steps and stands on huge pages where the kernel has them (madvise(2), MADV_HUGEPAGE), so that
/// a tree of 20 MiB costs ten page faults instead of 5,000; all threads share it, so that what a worker has freed serves
/// the next one. Call it first thing in main.
void prepare_heap();

/// For a process that stays, after a burst of work: gives free memory back to the kernel (malloc_trim(3)), and lets go of
/// the pages of the program itself. Those that are used again come back from the page cache.
void release_memory();

}  // namespace compose::sys
